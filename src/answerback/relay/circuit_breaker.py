"""When an endpoint is left alone: after too many failures in a row, until a probe gets through; pure.

While it is open nothing that waits is spent: a failed probe counts against nobody.
"""

from collections.abc import Sequence

from answerback.domain.backoff import probe_pause_s


class Breaker:
    """Counts the failures of one endpoint. Times are seconds of the caller's clock."""

    __slots__ = ("_limit", "_pauses_s", "_probes", "failures", "paused_until_s")

    def __init__(self, limit: int, pauses_s: Sequence[float], failures: int = 0, until_s: float | None = None) -> None:
        self._limit = limit
        self._pauses_s = pauses_s
        self._probes = 0
        self.failures = failures
        self.paused_until_s = until_s

    @property
    def open(self) -> bool:
        """Whether only probes may go out."""
        return self.paused_until_s is not None

    def failed(self, now_s: float) -> bool:
        """Count a failure; whether it opened the breaker, or kept it open."""
        self.failures += 1
        if self.failures < self._limit and not self.open:
            return False
        if self.paused_until_s is None or now_s >= self.paused_until_s:  # else it was under way when it opened
            self.paused_until_s = now_s + probe_pause_s(self._pauses_s, self._probes, jitter=0.1)
            self._probes += 1
        return True

    def succeeded(self) -> bool:
        """Forget the failures; whether that closed the breaker."""
        was_open, self.failures, self.paused_until_s, self._probes = self.open, 0, None, 0
        return was_open
