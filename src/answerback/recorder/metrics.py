"""The recorder's metrics. Plain numbers, read at scrape time."""

from collections import Counter

from answerback.domain.histogram import LATENCY_BOUNDS_S, Histogram
from answerback.ledger.commands import LogReply
from answerback.ledger.types import Disposition

_SIZE_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class RecorderMetrics:
    """The recorder's numbers since the start."""

    def __init__(self) -> None:
        self.callbacks: Counter[Disposition] = Counter()
        """By what the ledger did."""
        self.batch_sizes = Histogram(_SIZE_BOUNDS)
        """Callbacks in one transaction."""
        self.batch_latency_s = Histogram(LATENCY_BOUNDS_S)
        """From the command to the commit."""
        self.repeated_batches = 0
        """Batches of a stream that the ledger had already."""
        self.unreadable_rows = 0
        """Rows of the log that were missing or damaged; the quarantine names them."""
        self.failures = 0
        """Batches that were not recorded, each time they were tried."""

    def count(self, reply: LogReply, latency_s: float) -> None:
        """Count what one transaction has recorded."""
        self.callbacks.update(reply.dispositions)
        self.batch_sizes.observe(sum(reply.dispositions.values()))
        self.batch_latency_s.observe(latency_s)
        self.repeated_batches += reply.repeated_batches
        self.unreadable_rows += reply.unreadable_rows
