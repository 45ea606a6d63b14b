"""The durable store: what came in, what is known of each call, what could not be understood.

SQLAlchemy Core on one schema for every backend; what only SQLite can do or needs lives in `sqlite`.
"""

from answerback.ledger.process import WriterProcess
from answerback.ledger.store import FILE_NAME, Ledger, Opening, open_ledger
from answerback.ledger.values import Entry, Page, Quarantined, Receipt, Taken, Verdict

__all__ = [
    "FILE_NAME",
    "Entry",
    "Ledger",
    "Opening",
    "Page",
    "Quarantined",
    "Receipt",
    "Taken",
    "Verdict",
    "WriterProcess",
    "open_ledger",
]
