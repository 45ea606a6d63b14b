"""What the intake counts. Plain numbers, read at scrape time: nothing on the hot path takes a lock."""

from collections import Counter

from answerback.domain.histogram import LATENCY_BOUNDS_S, Histogram

BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


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
        self.loop_lag_s = Histogram(LATENCY_BOUNDS_S)
        """By how much later than asked for the event loop comes to something."""
        self.timeouts = 0
        self.set_aside = 0
        """Callbacks that the ledger refused, directly or by the stream, and that are in quarantine."""
        self.stalled_readers = 0

    def timed_out(self) -> None:
        """Count a request that did not arrive in time."""
        self.timeouts += 1

    def cut_off(self) -> None:
        """Count a reader that took nothing of what was sent to it."""
        self.stalled_readers += 1

    def count_set_aside(self, callbacks: int) -> None:
        """Count callbacks that the ledger refused."""
        self.set_aside += callbacks
