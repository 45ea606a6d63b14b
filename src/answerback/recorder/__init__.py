"""The recorder: what was answered from the log goes into the ledger, each row once."""

from answerback.recorder.metrics import RecorderMetrics
from answerback.recorder.recorder import Recorder

__all__ = ["Recorder", "RecorderMetrics"]
