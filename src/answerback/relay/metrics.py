"""The relay's metrics, by endpoint."""

from collections import Counter

from answerback.domain.histogram import LATENCY_BOUNDS_S, Histogram

LAG_BOUNDS_S = (*LATENCY_BOUNDS_S, 30.0, 300.0, 3600.0)


class RelayMetrics:
    """Counters since the start; an endpoint appears with its first attempt."""

    def __init__(self) -> None:
        self.attempts: Counter[tuple[str, str]] = Counter()
        """By endpoint and result: delivered, failed, dead (the last one failed)."""
        self.attempt_latency_s: dict[str, Histogram] = {}
        """How long an attempt took, by endpoint."""
        self.delivery_lag_s = Histogram(LAG_BOUNDS_S)
        """From stored to delivered."""
        self.paused: dict[str, int] = {}
        """Endpoints whose breaker is open, with their consecutive failures."""

    def count_attempt(self, endpoint: str, result: str, duration_s: float) -> None:
        self.attempts[endpoint, result] += 1
        latency = self.attempt_latency_s.get(endpoint)
        if latency is None:
            latency = self.attempt_latency_s[endpoint] = Histogram(LATENCY_BOUNDS_S)
        latency.observe(duration_s)

    def remove_endpoint(self, endpoint: str) -> None:
        self.attempt_latency_s.pop(endpoint, None)
        self.paused.pop(endpoint, None)
        for key in [key for key in self.attempts if key[0] == endpoint]:
            del self.attempts[key]
