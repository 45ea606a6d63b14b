"""What this process reports of itself to the others on its ledger, and what it reads of theirs."""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from answerback.auth.server_secret import ServerSecret
from answerback.errors import LedgerUnavailable
from answerback.ledger import Ledger
from answerback.ledger.admin.instances import RECORDED_US, find_instances
from answerback.recorder import Recorder
from answerback.service.front import Front
from answerback.service.pruner import Pruner

if TYPE_CHECKING:
    from answerback.relay import Relay
    from answerback.stream import Stream

_STREAM_STATUS_EVERY_S = 5.0
_STREAM_LATE_S = 2 * _STREAM_STATUS_EVERY_S  # what is younger was on its way when the streams were asked
_SECRETS_EVERY_S = 60.0

log = structlog.get_logger("answerback.service")


class ProcessStatus:
    """The status of one process; `recorder` is set once it records."""

    def __init__(
        self,
        url: str,
        front: Front,
        secret: ServerSecret,
    ) -> None:
        self._url = url
        self._front = front
        self._secret = secret
        self.relay: Relay | None = None
        self._shards: list[dict[str, Any]] = []
        self.recorder: Recorder | None = None
        self.pruner: Pruner | None = None
        self._started_us = time.time_ns() // 1000

    def report(self) -> dict[str, Any]:
        failure = None if self.recorder is None else self.recorder.failure
        committer, inbox = self._front.committer, self._front.inbox
        status = {
            "url": self._url,
            "pending": 0 if committer is None else committer.pending,
            "failure": self._front.failure,
            "recorder_failure": str(failure) if failure else None,
            "set_aside": self._front.metrics.set_aside,
            "relay": None if self.relay is None else self.relay.status,
            "waiting": None if inbox is None else inbox.waiting().callbacks,
            RECORDED_US: self.recorded_us(),
            "retention": None if self.pruner is None else self.pruner.status,
            "secret": self._secret.check,
        }
        if self._front.stream is not None:
            status["stream"] = {shard.pop("stream"): shard for shard in map(dict, self._shards)}
        return status

    def recorded_us(self) -> int | None:
        """Up to when all that this process has answered is recorded; None where nothing waits."""
        if self._front.stream is None:
            return None if self._front.inbox is None else self._front.inbox.waiting().oldest_us
        metrics = self._front.stream.metrics
        said_us = [metrics.known_us or self._started_us, *metrics.oldest_message_us.values()]
        known_us = min(us for us in said_us if us is not None)
        return known_us if time.time() - known_us / 1e6 > _STREAM_LATE_S else None

    def erasable_us(self) -> int | None:
        """The same for an erasure, which may be older than this process: nothing, as long as the stream has not said a word."""
        stream = self._front.stream
        return 0 if stream is not None and stream.metrics.known_us is None else self.recorded_us()

    async def poll_stream(self, stream: "Stream") -> None:
        """Ask the stream for its status, for ever; what was known before is reported until it answers again."""
        while True:
            with contextlib.suppress(Exception):
                self._shards = [msgspec.to_builtins(shard) for shard in await stream.status()]
            await asyncio.sleep(_STREAM_STATUS_EVERY_S)

    async def compare_secrets(self, ledger: Ledger) -> None:
        """Log, once for each, which processes on this ledger have another secret."""
        logged: set[str] = set()
        while True:
            with contextlib.suppress(LedgerUnavailable):
                seen = await asyncio.to_thread(ledger.read, find_instances)
                others = {
                    one.instance.id: f"{one.instance.host}:{one.instance.pid}"
                    for one in seen
                    if one.secret not in (None, self._secret.check)
                }
                if others.keys() - logged:
                    remedy = "give every process the same server.secret"
                    log.error("server_secret_differs", others=sorted(others.values()), remedy=remedy)
                logged.update(others)
            await asyncio.sleep(_SECRETS_EVERY_S)
