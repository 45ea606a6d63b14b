"""Who asks: API keys, roles, sessions, and how many wrong keys there may be."""
