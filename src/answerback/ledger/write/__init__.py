"""What is written to the ledger, and how: callbacks, deliveries, attempts, rollups."""
