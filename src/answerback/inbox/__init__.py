"""The embedded log: one SQLite file, one row a batch, appended and synced before a callback is answered."""

from answerback.inbox.backlog import InboxLag, RecorderFailure
from answerback.inbox.config import InboxConfig
from answerback.inbox.file import lock_inbox
from answerback.inbox.inbox import Inbox
from answerback.inbox.reader import InboxReader
from answerback.inbox.rows import Generation, InboxRow
from answerback.inbox.schema import INBOX_FILE

__all__ = [
    "INBOX_FILE",
    "Generation",
    "Inbox",
    "InboxConfig",
    "InboxLag",
    "InboxReader",
    "InboxRow",
    "RecorderFailure",
    "lock_inbox",
]
