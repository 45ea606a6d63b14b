"""The recorder: what was answered from the log goes into the ledger, each row once."""

from answerback.recorder.inbox_file import InboxFileSummary, record_inbox_file
from answerback.recorder.metrics import RecorderMetrics
from answerback.recorder.recorder import Recorder

__all__ = ["InboxFileSummary", "Recorder", "RecorderMetrics", "record_inbox_file"]
