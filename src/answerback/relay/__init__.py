"""HTTP out: what is owed to the business is delivered, in order for each call, until the business has it."""

from answerback.relay.deciding import Terms
from answerback.relay.registry import Wanted
from answerback.relay.relay import Relay

__all__ = ["Relay", "Terms", "Wanted"]
