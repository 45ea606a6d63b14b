"""What the intake counts. Plain numbers, read at scrape time: nothing on the hot path takes a lock."""

from bisect import bisect_left
from collections import Counter

LATENCY_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Histogram:
    """Counts of observations by upper bound; the last count is of those above all bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Meter:
    """The intake's numbers since the start."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        """By kind ("none" where the body is no callback) and `result` of the answer."""
        self.answer_latency_s = Histogram(LATENCY_BOUNDS_S)
        self.commit_latency_s = Histogram(LATENCY_BOUNDS_S)
        self.batch_sizes = Histogram(BATCH_BOUNDS)
        self.commit_failures = 0
        self.taken: Counter[str] = Counter()
        """By what the ledger did: stored, repeated, quarantined, dropped."""
        self.timeouts = 0
