"""The ledger's writer: a process of its own, and the gateway's client of it."""
