"""How often the log says the same."""

_WINDOW_S = 60.0
_LINES = 60


class LogLimit:
    """At most 60 lines of one sort in a minute: a flood must not fill the log as well."""

    def __init__(self) -> None:
        self._window_ends_s = float("-inf")
        self._left = 0

    def take(self, now_s: float) -> int:
        """How many lines may be logged with this one, at `now_s` of the monotonic clock; 0: not this one either."""
        if now_s > self._window_ends_s:
            self._window_ends_s, self._left = now_s + _WINDOW_S, _LINES
        left = self._left
        self._left = max(0, left - 1)
        return left
