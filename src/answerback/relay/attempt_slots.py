"""How many attempts may be in flight, for all endpoints together, and which endpoints wait for a free slot."""

from collections import OrderedDict
from collections.abc import Callable, Iterator

_MAX_IN_FLIGHT_UNDER_PRESSURE = 4


class AttemptSlots:
    """Counts the attempts `in_flight`. None may start while `is_blocked`, and few `under_pressure`: deliveries can wait."""

    def __init__(self, max_in_flight: int, under_pressure: Callable[[], bool], is_blocked: Callable[[], bool]) -> None:
        self._max = max_in_flight
        self._under_pressure = under_pressure
        self._is_blocked = is_blocked
        self._waiting: OrderedDict[int, None] = OrderedDict()
        self.in_flight = 0

    @property
    def is_busy(self) -> bool:
        """Whether no endpoint may start another attempt."""
        return self.in_flight >= self._limit or self._is_blocked()

    @property
    def is_contended(self) -> bool:
        """Whether others need the slot of whoever has one."""
        return bool(self._waiting) or self.in_flight > self._limit

    def wait(self, endpoint_id: int) -> None:
        """Let an endpoint wait for a free slot."""
        self._waiting[endpoint_id] = None

    def freed(self) -> Iterator[int]:
        """The endpoints that wait, one for each slot that is free by now."""
        for endpoint_id in list(self._waiting):
            if self.is_busy:
                return
            del self._waiting[endpoint_id]
            yield endpoint_id

    @property
    def _limit(self) -> int:
        return _MAX_IN_FLIGHT_UNDER_PRESSURE if self._under_pressure() else self._max
