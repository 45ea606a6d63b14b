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
from answerback.ledger.admin.instances import Member
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import Beat, Leave

T = TypeVar("T")

EVERY_S = 3.0
_FAREWELL_S = 1.0


def introduce(roles: Sequence[str]) -> Member:
    """This process, under an id that no other start has."""
    return Member(
        id=token_hex(8),
        host=socket.gethostname(),
        pid=os.getpid(),
        roles=[str(role) for role in roles],
        version=version("answerback"),
        started_us=time.time_ns() // 1000,
    )


class Membership:
    """Beats from `start` to `stop`; `state` is asked each time for what is to be shown of the process."""

    def __init__(
        self,
        book: LedgerClient,
        member: Member,
        state: Callable[[], dict[str, Any]],
        *,
        every_s: float = EVERY_S,
        on_failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._book = book
        self._member = member
        self._state = state
        self._every_s = every_s
        self._on_failed = on_failed
        self._beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; where the ledger is away it is tried again and again."""
        self._beating = asyncio.get_running_loop().create_task(self._beat_on())

    async def stop(self) -> None:
        """Take leave of the others."""
        if self._beating is None:
            return
        self._beating.cancel()
        with contextlib.suppress(LedgerUnavailable, TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._book.ask(Leave(self._member.id))

    async def _beat_on(self) -> None:
        while True:
            try:
                await self._book.ask(Beat(self._member, self._state()))
            except LedgerUnavailable:
                self._on_failed()
            await asyncio.sleep(self._every_s)
