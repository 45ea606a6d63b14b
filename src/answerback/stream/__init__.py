"""NATS JetStream as the log in front of the ledger, for more than one machine.

Needs the extra `nats`: to import it without raises MissingExtra, so it is imported where a stream is asked for.
"""

from importlib.util import find_spec

from answerback.errors import MissingExtra

if find_spec("nats") is None:
    raise MissingExtra('stream.url needs nats-py: pip install "answerback[nats]"')

from answerback.stream.consumer import StreamConsumer
from answerback.stream.metrics import StreamMetrics
from answerback.stream.publisher import Publisher
from answerback.stream.shard_status import ShardStatus
from answerback.stream.stream import Stream, StreamConfig

__all__ = ["Publisher", "ShardStatus", "Stream", "StreamConfig", "StreamConsumer", "StreamMetrics"]
