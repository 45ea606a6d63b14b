"""A circuit breaker per endpoint: opens after too many failures in a row, closes when a probe succeeds; pure.

While it is open, failed probes do not use up the attempts of any delivery.
"""

from collections.abc import Sequence

from answerback.domain.backoff import repeating_delay_s


class CircuitBreaker:
    """Count the consecutive failures of one endpoint. Times are seconds of the caller's clock."""

    __slots__ = ("_cooldowns_s", "_probes", "_threshold", "failures", "open_until_s")

    def __init__(
        self, threshold: int, cooldowns_s: Sequence[float], failures: int = 0, until_s: float | None = None
    ) -> None:
        self._threshold = threshold
        self._cooldowns_s = cooldowns_s
        self._probes = 0
        self.failures = failures
        self.open_until_s = until_s

    @property
    def is_open(self) -> bool:
        """Whether only probes may be sent."""
        return self.open_until_s is not None

    def record_failure(self, now_s: float) -> bool:
        """Count a failure; return whether the breaker is open now."""
        self.failures += 1
        if self.failures < self._threshold and not self.is_open:
            return False
        if self.open_until_s is None or now_s >= self.open_until_s:  # else it was under way when it opened
            self.open_until_s = now_s + repeating_delay_s(self._cooldowns_s, self._probes, jitter=0.1)
            self._probes += 1
        return True

    def record_success(self) -> bool:
        """Reset the count; return whether that closed the breaker."""
        was_open, self.failures, self.open_until_s, self._probes = self.is_open, 0, None, 0
        return was_open
