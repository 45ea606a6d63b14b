"""What is read from the ledger: pages of calls and deliveries, statistics, activity."""
