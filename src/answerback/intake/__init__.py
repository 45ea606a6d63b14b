"""HTTP in: a callback's bytes to a durable answer."""

from answerback.intake.bulk_submit import BulkSubmitter
from answerback.intake.channels import ChannelResolver
from answerback.intake.committer import GroupCommitter
from answerback.intake.handler import CallbackHandler
from answerback.intake.metrics import IntakeMetrics
from answerback.intake.protocol import CallbackProtocol
from answerback.intake.rejections import RejectionLimiter

__all__ = [
    "BulkSubmitter",
    "CallbackHandler",
    "CallbackProtocol",
    "ChannelResolver",
    "GroupCommitter",
    "IntakeMetrics",
    "RejectionLimiter",
]
