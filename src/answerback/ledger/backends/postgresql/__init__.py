"""The ledger on PostgreSQL: its connections and locks, its partitions, and its form of the hot statements.

Nothing here is imported where the ledger is a SQLite file: psycopg is an extra.
"""
