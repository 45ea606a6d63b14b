"""Whether a failed request is sent again, and when."""

from time import monotonic
from typing import Any

from answerback.client.requests import GatewayRequest
from answerback.domain.backoff import repeating_delay_s

_DELAYS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_JITTER = 0.3
_TOO_MANY_REQUESTS, _NOT_FOUND = 429, 404
_RETRIED = frozenset({_TOO_MANY_REQUESTS, 502, 503, 504})


class Attempts:
    """The attempts of one request: at most `retries` after the first, and none that would start after `timeout_s`."""

    def __init__(self, request: GatewayRequest[Any], *, retries: int, timeout_s: float) -> None:
        self._request = request
        self._retries = retries
        self._failures = 0
        self._deadline_s = monotonic() + max(timeout_s, request.least_timeout_s)
        self._may_have_acted = False

    @property
    def left_s(self) -> float:
        """How long the next attempt may take."""
        return max(0.001, self._deadline_s - monotonic())

    @property
    def is_late(self) -> bool:
        """Whether what has not come by now comes too late."""
        return monotonic() > self._deadline_s

    def delay_after_status(self, status: int, retry_after_s: float | None) -> float | None:
        """Seconds until the next attempt, None if there is none. A request that was turned away as too many did nothing."""
        if status not in _RETRIED:
            return None
        return self._delay_s(did_nothing=status == _TOO_MANY_REQUESTS, least_s=retry_after_s or 0.0)

    def delay_after_break(self, *, was_sent: bool) -> float | None:
        """The same, where there was no answer."""
        return self._delay_s(did_nothing=not was_sent)

    def is_done(self, status: int) -> bool:
        """Whether a 404 means that an attempt whose answer was lost has deleted what it should."""
        return status == _NOT_FOUND and self._request.method == "DELETE" and self._may_have_acted

    def _delay_s(self, *, did_nothing: bool, least_s: float = 0.0) -> float | None:
        self._may_have_acted |= not did_nothing
        if self._failures == self._retries or not (did_nothing or self._request.is_repeatable):
            return None
        delay_s = max(least_s, repeating_delay_s(_DELAYS_S, self._failures, _JITTER))
        self._failures += 1
        return delay_s if delay_s < self._deadline_s - monotonic() else None
