"""NATS JetStream as the log in front of the ledger, for more than one machine.

Needs the extra `nats`: to import it without raises ExtraMissing, so it is imported where a stream is asked for.
"""

from importlib.util import find_spec

from answerback.errors import ExtraMissing

if find_spec("nats") is None:
    raise ExtraMissing('stream.url needs nats-py: pip install "answerback[nats]"')

from answerback.stream.consumer import Drain
from answerback.stream.metrics import Meter
from answerback.stream.publisher import Publisher
from answerback.stream.shard_status import ShardStatus
from answerback.stream.stream import Stream, Terms

__all__ = ["Drain", "Meter", "Publisher", "ShardStatus", "Stream", "Terms"]
