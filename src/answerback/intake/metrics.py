"""The intake's metrics. Plain numbers, read at scrape time: nothing on the hot path takes a lock."""

from collections import Counter

from answerback.domain.histogram import LATENCY_BOUNDS_S, Histogram

BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class IntakeMetrics:
    """Counters since the start."""

    def __init__(self) -> None:
        self.responses: Counter[tuple[str, int]] = Counter()
        """By kind ("none" if the body is not a callback) and `result` of the response."""
        self.response_latency_s = Histogram(LATENCY_BOUNDS_S)
        self.commit_latency_s = Histogram(LATENCY_BOUNDS_S)
        self.batch_sizes = Histogram(BATCH_BOUNDS)
        self.commit_failures = 0
        self.rejections_dropped = 0
        """Refused bodies that were answered and not kept: see `RejectionLimiter`."""
        self.loop_lag_s = Histogram(LATENCY_BOUNDS_S)
        """By how much later than asked for the event loop comes to something."""
        self.request_timeouts = 0
        self.set_aside = 0
        """Callbacks that the ledger refused when they were recorded, and that are in quarantine."""
        self.stalled_readers = 0

    def count_timeout(self) -> None:
        """Count a request that did not arrive in time."""
        self.request_timeouts += 1

    def count_stalled_reader(self) -> None:
        """Count a reader that was cut off because it took nothing."""
        self.stalled_readers += 1

    def count_set_aside(self, callbacks: int) -> None:
        """Count callbacks that the ledger refused."""
        self.set_aside += callbacks
