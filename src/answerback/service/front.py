"""What callbacks are answered with: the log, the committer and the handler. Nothing else has to be loaded for it."""

import contextlib
import time
from typing import TYPE_CHECKING

from answerback.config import ServerRole, Settings
from answerback.errors import UnavailableReason
from answerback.inbox import Inbox
from answerback.intake import CallbackHandler, ChannelResolver, GroupCommitter, IntakeMetrics, RejectionLimiter
from answerback.intake.committer import CallbackLog
from answerback.service.urls import base_path

if TYPE_CHECKING:
    from answerback.stream import Publisher, Stream
    from answerback.tracing.tracer import Tracer

_COMMITTER_STOP_S = 1.0  # after the shutdown nobody waits for them any more
_INBOX_STOP_S = 1.0
_MINUTE_US = 60_000_000
_REFUSED_SHARE = 10  # refused bodies take a tenth of the log at most


class Front:
    """The intake of one process; without the role it refuses callbacks, and has no committer."""

    def __init__(
        self, settings: Settings, inbox: Inbox | None, stream: "Stream | None", tracer: "Tracer | None"
    ) -> None:
        self.inbox = inbox
        self.stream = stream
        self.publisher: Publisher | None = None
        self.records = inbox is not None or (stream is not None and ServerRole.RECORDER in settings.server.roles)
        """Whether this process is to record: its inbox, or the stream."""
        self.metrics = IntakeMetrics()
        takes_callbacks = ServerRole.INTAKE in settings.server.roles
        self.committer = self._committer(settings, tracer) if takes_callbacks else None
        self._rejections = RejectionLimiter(
            self.metrics,
            settings.quarantine.max_per_minute,
            (settings.inbox.max_bytes if stream is None else settings.stream.max_bytes) // _REFUSED_SHARE,
            self._recorded_us,
        )
        self.handler = CallbackHandler(
            ChannelResolver(settings.tokens(), base_path(settings)),
            self.committer,
            self.metrics,
            self._rejections,
            settings.intake.max_body_bytes,
            tracer,
        )

    def reload(self, settings: Settings) -> None:
        """Take over channels and limits; requests that are under way keep their channel."""
        self.handler.resolver = ChannelResolver(settings.tokens(), base_path(settings))
        self._rejections.max_per_minute = settings.quarantine.max_per_minute
        if self.committer is not None:
            self.committer.max_pending = settings.intake.max_pending
            self.committer.max_batch = settings.intake.max_batch

    @property
    def failure(self) -> UnavailableReason | None:
        """Why no callback can be stored now, where it takes any."""
        return None if self.committer is None else self.committer.failure

    @property
    def under_pressure(self) -> bool:
        """Whether callbacks arrive so fast that what can wait should wait."""
        return self.committer is not None and self.committer.under_pressure

    def unrecorded_s(self, started_us: int) -> float | None:
        """For how long the oldest callback has waited for this process to record it; None if it does not record.

        Counted from `started_us`: before it nobody was there to record.
        """
        if self.inbox is not None:
            oldest_us = self.inbox.waiting().oldest_us
        elif self.stream is not None and self.records:
            oldest_us = min(filter(None, self.stream.metrics.oldest_message_us.values()), default=None)
        else:
            return None
        return 0.0 if oldest_us is None else max(0.0, time.time() - max(oldest_us, started_us) / 1e6)

    async def start(self, stack: contextlib.AsyncExitStack) -> None:
        """Begin to take callbacks; `stack` ends it."""
        if self.stream is not None:
            await self.stream.start()
            stack.push_async_callback(self.stream.stop)
        if self.inbox is not None:
            self.inbox.start()
            stack.push_async_callback(self.inbox.stop, _INBOX_STOP_S)
        if self.committer is not None:
            await self.committer.start()
            stack.push_async_callback(self.committer.stop, _COMMITTER_STOP_S)

    def _committer(self, settings: Settings, tracer: "Tracer | None") -> GroupCommitter:
        log: CallbackLog
        if self.stream is not None:
            log = self.publisher = self.stream.publisher(settings.intake.commit_timeout_s)
            self.publisher.tracer = tracer
        else:
            assert self.inbox is not None  # noqa: S101  # whoever takes callbacks has one of the two
            log = self.inbox
        return GroupCommitter(
            log,
            self.metrics,
            max_pending=settings.intake.max_pending,
            max_batch=settings.intake.max_batch,
            commit_timeout_s=settings.intake.commit_timeout_s,
        )

    def _recorded_us(self) -> int | None:
        """Up to when all that was taken is in the ledger; of a stream it is not known here, a minute ago stands for it."""
        if self.inbox is None:
            return time.time_ns() // 1000 - _MINUTE_US
        return self.inbox.waiting().oldest_us
