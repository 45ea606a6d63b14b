"""The callback URL inside your own web application: `Receiver`, and where it keeps what it has answered."""

from answerback.domain.models import ParsedCallback, RawCallback, RejectedCallback
from answerback.receiver.event import Event
from answerback.receiver.memory_store import MemoryStore
from answerback.receiver.receiver import Receiver
from answerback.receiver.sqlite_store import SQLiteStore
from answerback.receiver.store import EventBacklog, Handle, ReadableStore, Store
from answerback.tencent.response import Response

__all__ = [
    "Event",
    "EventBacklog",
    "Handle",
    "MemoryStore",
    "ParsedCallback",
    "RawCallback",
    "ReadableStore",
    "Receiver",
    "RejectedCallback",
    "Response",
    "SQLiteStore",
    "Store",
]
