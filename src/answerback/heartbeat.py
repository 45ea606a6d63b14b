"""The heartbeat of a process: it says that it serves the ledger, and how it is, until it ends."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from secrets import token_hex
from typing import Any, TypeVar

from answerback.errors import LedgerUnavailable
from answerback.ledger.admin.instances import Instance
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import DeregisterInstance, RecordHeartbeat

T = TypeVar("T")

INTERVAL_S = 3.0
_DEREGISTER_TIMEOUT_S = 1.0


def new_instance(roles: Sequence[str]) -> Instance:
    """This process, under an id that no other start has."""
    return Instance(
        id=token_hex(8),
        host=socket.gethostname(),
        pid=os.getpid(),
        roles=[str(role) for role in roles],
        version=version("answerback"),
        started_us=time.time_ns() // 1000,
    )


class Heartbeat:
    """Beats from `start` to `stop`; `state` is asked each time for what is to be shown of the process."""

    def __init__(
        self,
        client: LedgerClient,
        instance: Instance,
        status: Callable[[], dict[str, Any]],
        *,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._client = client
        self._instance = instance
        self._status = status
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; where the ledger is away it is tried again and again."""
        self._task = asyncio.get_running_loop().create_task(self._send_forever())

    async def stop(self) -> None:
        """Take leave of the others."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(LedgerUnavailable, TimeoutError):
            async with asyncio.timeout(_DEREGISTER_TIMEOUT_S):
                await self._client.execute(DeregisterInstance(self._instance.id))

    async def _send_forever(self) -> None:
        while True:
            with contextlib.suppress(LedgerUnavailable):
                await self._client.execute(RecordHeartbeat(self._instance, self._status()))
            await asyncio.sleep(self._interval_s)
