"""HTTP in: a callback's bytes to a durable answer."""

from answerback.intake.app import CallbackApp
from answerback.intake.bulk_submit import BulkSubmitter
from answerback.intake.channels import ChannelResolver
from answerback.intake.committer import GroupCommitter
from answerback.intake.metrics import IntakeMetrics

__all__ = ["BulkSubmitter", "CallbackApp", "ChannelResolver", "GroupCommitter", "IntakeMetrics"]
