"""The words that stand above the routes."""

DESCRIPTION = """\
Answerback takes the callbacks of Tencent Cloud voice messages, answers one only once it is safe on disk, folds all
callbacks of a call into one record, and tells your systems.

Everything below `/v1` needs an API key: `Authorization: Bearer ab_…`. Times are ISO 8601; answers hold them in UTC.
Phone numbers are masked unless the key has the right to see them in full.

Lists are pages: `{items, next_cursor}`. Send `next_cursor` back as `cursor` for the next one; null means that this is
the last.

An error is always a `Problem`: `detail` says what is wrong, and `field` where. The callback URL, and a callback that
is handed in alone, are answered by the vendor's contract instead: `{result, errmsg}`. A method that an address does not take
is answered 405, with `Allow`; a body that is larger than it may be 413; a fault in the program 500.
"""

TAGS = [
    {"name": "callback URL", "description": "What the cloud POSTs to. Its channel is its secret; it needs no key."},
    {"name": "calls", "description": "What became of every call, and what the business says of it."},
    {"name": "callbacks", "description": "Callbacks that did not come by the callback URL."},
    {"name": "quarantine", "description": "Bodies that could not be understood: kept, and read again after a fix."},
    {"name": "statistics", "description": "What many calls come to: outcomes, times, failures, fees."},
    {"name": "exports", "description": "Files of what is in the ledger, of any size."},
    {"name": "endpoints", "description": "Who is told: the business URLs of a channel."},
    {"name": "deliveries", "description": "What was told to whom, and telling it again."},
    {"name": "webhooks", "description": "What an endpoint with the format `standard` is told."},
    {"name": "alerts", "description": "Rules of the config file that people are alerted by."},
    {"name": "access", "description": "API keys, and what their holders did."},
    {"name": "processes", "description": "All processes that serve the ledger, and what each does."},
    {"name": "health", "description": "How the gateway itself is. Needs no key."},
]
"""Every tag, in the order of a reader's interest."""
