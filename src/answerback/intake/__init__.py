"""HTTP in: a callback's bytes to a durable answer."""

from answerback.intake.app import Intake
from answerback.intake.channels import Channels
from answerback.intake.committer import Committer
from answerback.intake.meter import Meter
from answerback.intake.submission import Submission

__all__ = ["Channels", "Committer", "Intake", "Meter", "Submission"]
