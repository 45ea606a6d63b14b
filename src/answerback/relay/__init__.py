"""Outbound webhooks: deliver each event to the endpoints of its channel, in order per call, until it is acknowledged."""

from answerback.relay.coordinator import ClusterConfig
from answerback.relay.endpoint_changes import ConfigEndpoint
from answerback.relay.relay import Relay
from answerback.relay.retry_policy import RetryPolicy

__all__ = ["ClusterConfig", "ConfigEndpoint", "Relay", "RetryPolicy"]
