"""A high dynamic range histogram of latencies: as exact for a second as for a millisecond, and small."""

import math

_EXACT_BITS = 11
_STEPS = 1 << (_EXACT_BITS - 1)
_US_PER_S = 1_000_000


class HdrHistogram:
    """Counts of latencies in microseconds: exact below 2048 us, from there on less than 0.1 % above the true value."""

    __slots__ = ("_counts", "_largest_us", "total")

    def __init__(self) -> None:
        self.total = 0
        self._largest_us = 0
        self._counts: dict[int, int] = {}

    def record(self, latency_s: float) -> None:
        """Count one; what is below 0 counts as 0."""
        latency_us = max(0, round(latency_s * _US_PER_S))
        place = _bucket(latency_us)
        self._counts[place] = self._counts.get(place, 0) + 1
        self.total += 1
        self._largest_us = max(self._largest_us, latency_us)

    def percentile(self, percent: float) -> float:
        """The seconds that `percent` of the latencies do not exceed, never less than the true value; 0 without any."""
        wanted = max(1, math.ceil(self.total * percent / 100))
        for place in sorted(self._counts):
            wanted -= self._counts[place]
            if wanted <= 0:
                return min(_bucket_max(place), self._largest_us) / _US_PER_S
        return 0.0


def _bucket(value: int) -> int:
    """The bucket of a whole number: its first 11 bits, and how many follow them."""
    shift = max(0, value.bit_length() - _EXACT_BITS)
    return shift * _STEPS + (value >> shift)


def _bucket_max(place: int) -> int:
    """The largest number of a bucket."""
    shift = max(0, place // _STEPS - 1)
    return ((place - shift * _STEPS + 1) << shift) - 1
