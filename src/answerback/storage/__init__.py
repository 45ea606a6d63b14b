"""Files that must keep what was written to them, and what SQLite says of them."""
