"""A flood of bodies that are no callbacks fills neither the log, nor the quarantine behind it, nor what people read."""

from collections.abc import Callable
from time import monotonic

import structlog

from answerback.domain.batches import BatchItem
from answerback.intake.metrics import IntakeMetrics

_WINDOW_S = 60.0
_LOGGED_PER_WINDOW = 60

log = structlog.get_logger("answerback.intake")


class RejectionLimiter:
    """Admits refused bodies to the log at `max_per_minute`, and `max_bytes` until it has been recorded once in full."""

    def __init__(
        self, metrics: IntakeMetrics, max_per_minute: int, max_bytes: int, is_recorded: Callable[[], bool]
    ) -> None:
        self._metrics = metrics
        self._max_per_minute = max_per_minute
        self._max_bytes = max_bytes
        self._is_recorded = is_recorded
        self._window_ends_s = 0.0
        self._admitted = self._dropped = self._bytes = 0

    def admit(self, item: BatchItem, result: int, reason: str) -> bool:
        """Whether `item`, which is answered `result` for `reason`, is to be kept; else it is counted."""
        now_s = monotonic()
        if now_s > self._window_ends_s:
            self._window_ends_s = now_s + _WINDOW_S
            self._admitted = self._dropped = 0
        if self._bytes and self._is_recorded():
            self._bytes = 0
        if self._admitted >= self._max_per_minute or self._bytes + len(item.raw) > self._max_bytes:
            if self._dropped == 0:
                log.warning("rejections_dropped", channel=item.channel, admitted=self._admitted, bytes=self._bytes)
            self._dropped += 1
            self._metrics.rejections_dropped += 1
            return False
        self._admitted += 1
        self._bytes += len(item.raw)
        if self._admitted <= _LOGGED_PER_WINDOW:
            log.warning("callback_rejected", channel=item.channel, result=result, reason=reason)
        return True
