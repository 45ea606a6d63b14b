"""The durable store: what came in, what is known of each call, what could not be understood.

SQLAlchemy Core on one schema for every backend; what only SQLite can do or needs lives in `sqlite`.
"""

from answerback.ledger.opening import FILE_NAME, Opening, open_database, open_ledger
from answerback.ledger.store import Ledger
from answerback.ledger.values import Entry, Job, Page, Pause, Quarantined, Receipt, Settled, Taken, Verdict

__all__ = [
    "FILE_NAME",
    "Entry",
    "Job",
    "Ledger",
    "Opening",
    "Page",
    "Pause",
    "Quarantined",
    "Receipt",
    "Settled",
    "Taken",
    "Verdict",
    "open_database",
    "open_ledger",
]
