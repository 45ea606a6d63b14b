"""Erasure of one person's number: from the ledger, the inbox, and the free space of their files."""
