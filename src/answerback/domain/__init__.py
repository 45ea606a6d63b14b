"""Pure: what a call, a callback and a delivery are, and the rules that they follow."""
