"""The cloud's side of the wire: what it sends, and how. Knows the vendor's words, never the ledger."""
