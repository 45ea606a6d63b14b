"""HTTP in: a callback's bytes to a durable answer."""

from answerback.intake.app import Intake
from answerback.intake.bulk_submit import Submission
from answerback.intake.channels import Channels
from answerback.intake.committer import Committer
from answerback.intake.metrics import Meter

__all__ = ["Channels", "Committer", "Intake", "Meter", "Submission"]
