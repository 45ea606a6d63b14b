"""What the stream's two ends count. Plain numbers, read at scrape time."""

from collections import Counter
from collections.abc import Iterable

from answerback.domain.histogram import LATENCY_BOUNDS_S, Histogram
from answerback.ledger import Taken


class Meter:
    """The stream's numbers since the start."""

    def __init__(self, streams: Iterable[str] = ()) -> None:
        self.ack_latency_s = Histogram(LATENCY_BOUNDS_S)
        """From the publication of a batch to the acknowledgement by most replicas."""
        self.failovers: Counter[str] = Counter(dict.fromkeys(streams, 0))
        """By shard that did not acknowledge in time, or could not: the batch went to another as well."""
        self.drained_batches = 0
        self.drained_callbacks: Counter[Taken] = Counter()
        """By what the ledger did."""
        self.skipped_batches = 0
        """Batches that came though the ledger held them already."""
        self.unreadable_batches = 0
        """Messages that this program cannot read, each time they came; they stay in the stream."""
        self.left_batches = 0
        """Batches that the ledger could not take, each time they came; they stay in the stream, their callbacks unrecorded."""
        self.oldest_us: dict[str, int | None] = {}
        """By shard: when the oldest batch that it still holds was stored there, None where it holds none."""
        self.lag_s = 0.0
        """How long ago the oldest batch of the last commit was published; 0 while nothing waits."""
        self.pending: dict[str, int] = {}
        """By shard: messages that wait in it, as of its last delivery."""
        self.held_batches = 0
        """Batches in this process's hands, not yet in the ledger."""
