"""People are told when something is wrong, and when it is over: rules, hysteresis, Apprise."""

from answerback.alerts.alerts import Alerts, states_of
from answerback.alerts.messages import Letterhead, trial
from answerback.alerts.targets import Target, open_targets

__all__ = ["Alerts", "Letterhead", "Target", "open_targets", "states_of", "trial"]
