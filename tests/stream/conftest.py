"""The servers that the stream's tests run on."""

from nats_servers import nats_cluster, nats_server

__all__ = ["nats_cluster", "nats_server"]
