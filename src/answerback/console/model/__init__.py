"""What pages show, made from what the ledger knows."""
