"""What this process reports of itself to the others on its ledger, and what it reads of theirs."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from answerback.auth.server_secret import ServerSecret
from answerback.errors import LedgerUnavailable
from answerback.intake import GroupCommitter, IntakeMetrics
from answerback.ledger import Ledger
from answerback.ledger.admin.instances import find_instances

if TYPE_CHECKING:
    from answerback.relay import Relay
    from answerback.stream import Stream, StreamConsumer

_STREAM_STATUS_EVERY_S = 5.0
_SECRETS_EVERY_S = 60.0

log = structlog.get_logger("answerback.service")


class ProcessStatus:
    """The status of one process. `consumer` is set once it records a stream."""

    def __init__(
        self,
        url: str,
        committer: GroupCommitter,
        metrics: IntakeMetrics,
        relay: "Relay",
        secret: ServerSecret,
        stream: "Stream | None",
    ) -> None:
        self._url = url
        self._committer = committer
        self._metrics = metrics
        self._relay = relay
        self._secret = secret
        self._stream = stream
        self._shards: list[dict[str, Any]] = []
        self.consumer: StreamConsumer | None = None

    def report(self) -> dict[str, Any]:
        """What the heartbeat reports."""
        failure = None if self.consumer is None else self.consumer.failure
        status = {
            "url": self._url,
            "pending": self._committer.pending,
            "failure": self._committer.failure,
            "recorder_failure": str(failure) if failure else None,
            "set_aside": self._metrics.set_aside,
            "relay": self._relay.status,
            "secret": self._secret.check,
        }
        if self._stream is not None:
            status["stream"] = {shard.pop("stream"): shard for shard in map(dict, self._shards)}
        return status

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
