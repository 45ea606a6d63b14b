"""A flood of bodies that are no callbacks fills neither the log, nor the quarantine behind it, nor what people read."""

from collections import deque
from collections.abc import Callable
from time import monotonic

import structlog

from answerback.domain.batches import BatchItem
from answerback.domain.log_limit import LogLimit
from answerback.intake.metrics import IntakeMetrics

_WINDOW_S = 60.0

log = structlog.get_logger("answerback.intake")


class RejectionLimiter:
    """Admits refused bodies to the log: `max_per_minute` of them, and `max_bytes` that are not recorded yet.

    `recorded_us` says up to when all is recorded that was received; None: up to now.
    """

    def __init__(
        self, metrics: IntakeMetrics, max_per_minute: int, max_bytes: int, recorded_us: Callable[[], int | None]
    ) -> None:
        self._metrics = metrics
        self.max_per_minute = max_per_minute
        self._max_bytes = max_bytes
        self._recorded_us = recorded_us
        self._waiting: deque[tuple[int, int]] = deque()  # when each was received, and its size
        self._waiting_bytes = 0
        self._window_ends_s = 0.0
        self._admitted = self._dropped = 0
        self._logged = LogLimit()

    def admit(self, item: BatchItem, result: int, reason: str) -> bool:
        """Whether `item`, which is answered `result` for `reason`, is to be kept; else it is counted."""
        now_s = monotonic()
        if now_s > self._window_ends_s:
            self._window_ends_s = now_s + _WINDOW_S
            self._admitted = self._dropped = 0
        self._forget_recorded()
        if self._admitted >= self.max_per_minute or self._waiting_bytes + len(item.raw) > self._max_bytes:
            if self._dropped == 0:
                log.warning(
                    "rejections_dropped",
                    channel=item.channel,
                    admitted=self._admitted,
                    waiting_bytes=self._waiting_bytes,
                )
            self._dropped += 1
            self._metrics.rejections_dropped += 1
            return False
        self._admitted += 1
        self._waiting.append((item.received_us, len(item.raw)))
        self._waiting_bytes += len(item.raw)
        if self._logged.take(now_s):
            log.warning("callback_rejected", channel=item.channel, result=result, reason=reason)
        return True

    def _forget_recorded(self) -> None:
        recorded_us = self._recorded_us()
        while self._waiting and (recorded_us is None or self._waiting[0][0] < recorded_us):
            self._waiting_bytes -= self._waiting.popleft()[1]
