"""Whether somebody's callback receiver does as the contract says: rules, how they are checked, and the report."""
