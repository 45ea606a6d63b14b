"""The stream's metrics. Plain numbers, read at scrape time."""

from collections import Counter
from collections.abc import Iterable

from answerback.domain.histogram import LATENCY_BOUNDS_S, Histogram


class StreamMetrics:
    """The stream's numbers since the start."""

    def __init__(self, streams: Iterable[str] = ()) -> None:
        self.ack_latency_s = Histogram(LATENCY_BOUNDS_S)
        """From the publication of a batch to the acknowledgement by most replicas."""
        self.failovers: Counter[str] = Counter(dict.fromkeys(streams, 0))
        """By shard that did not acknowledge in time, or could not: the batch went to another as well."""
        self.undecodable_batches = 0
        """Messages that this version cannot decode, each time they came; they stay in the stream."""
        self.oldest_message_us: dict[str, int | None] = {}
        """By shard: when the oldest batch that it still holds was stored there, None where it holds none."""
        self.known_us: int | None = None
        """When all shards last said so; None: they have not yet."""
        self.pending: dict[str, int] = {}
        """By shard: messages that wait in it, as of its last delivery."""
        self.in_flight_batches = 0
        """Batches in flight in this process, not yet in the ledger."""
