"""The recorder: what was answered from the log goes into the ledger, each row once."""

from answerback.recorder.inbox_file import InboxFileSummary, record_inbox_file
from answerback.recorder.inbox_recorder import InboxRecorder
from answerback.recorder.metrics import RecorderMetrics
from answerback.recorder.recorder import Recorder
from answerback.recorder.stream_recorder import StreamRecorder

__all__ = ["InboxFileSummary", "InboxRecorder", "Recorder", "RecorderMetrics", "StreamRecorder", "record_inbox_file"]
