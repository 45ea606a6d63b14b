"""Alerts: rules, hysteresis, and notifications through Apprise."""

from answerback.alerts.alerts import AlertManager, alert_states
from answerback.alerts.messages import MessageContext, compose_test_message
from answerback.alerts.sources import LedgerSource, RecorderSource
from answerback.alerts.targets import Target, open_targets

__all__ = [
    "AlertManager",
    "LedgerSource",
    "MessageContext",
    "RecorderSource",
    "Target",
    "alert_states",
    "compose_test_message",
    "open_targets",
]
