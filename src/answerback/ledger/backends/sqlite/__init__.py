"""SQLite: connections, durability, files."""
