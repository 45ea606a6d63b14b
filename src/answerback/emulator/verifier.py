"""Whether a gateway holds what it accepted: every callid is looked up over its /v1."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from answerback.emulator.http_client import HttpTarget, PooledClient
from answerback.errors import ConfigError

_FOUND = 200
_MISSING = 404
_IN_SEVERAL_CHANNELS = 409
_MAX_CONNECTIONS = 64
_MAX_FIRST_MISSING = 10
_MAX_REASONS = 100


class DurabilityCheck:
    """Looks callids up at the gateway `base`; what it found may be read at any time.

    `first_missing` are up to ten of the missing; `unreadable` counts, by the reason, what could not be asked.
    """

    def __init__(self, base: str, key: str | None, timeout_s: float) -> None:
        self.found = 0
        self.missing = 0
        self.first_missing: list[str] = []
        self.unreadable: Counter[str] = Counter()
        self._calls = f"{base.rstrip('/')}/v1/calls"
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout_s = timeout_s
        self._client = PooledClient()

    @property
    def checked(self) -> int:
        return self.found + self.missing + self.unreadable.total()

    async def probe(self, callid: str) -> str | None:
        """Ask for a call that need not exist; why the gateway does not say, or None where it does."""
        try:
            answer = await self._ask(callid)
        finally:
            self._client.close()
        return None if isinstance(answer, bool) else answer

    async def run(self, callids: Iterable[str], connections: int) -> None:
        waiting = iter(callids)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(connections, _MAX_CONNECTIONS)):
                    group.create_task(self._work(waiting))
        finally:
            self._client.close()

    async def _work(self, waiting: Iterator[str]) -> None:
        for callid in waiting:
            answer = await self._ask(callid)
            if answer is True:
                self.found += 1
            elif answer is False:
                self.missing += 1
                if self.missing <= _MAX_FIRST_MISSING:
                    self.first_missing.append(callid)
            else:
                self.unreadable[answer if len(self.unreadable) < _MAX_REASONS else "other reasons"] += 1

    async def _ask(self, callid: str) -> bool | str:
        """Whether the gateway has the call, or why it does not say."""
        try:
            async with asyncio.timeout(self._timeout_s):
                target = HttpTarget(f"{self._calls}/{quote(callid, safe='')}")
                request = b"".join(target.frame(b"", self._headers, method="GET"))
                response = await self._client.send(target, [request])
        except TimeoutError:
            return f"no answer within {self._timeout_s:g} s"
        except (OSError, ValueError, ConfigError) as error:
            return f"no answer: {error or type(error).__name__}"
        if response.status == _MISSING:
            return False
        said = _json_object(response.body)
        if response.status == _IN_SEVERAL_CHANNELS or (response.status == _FOUND and said.get("callid") == callid):
            return True
        return f"answered {response.status}: {said.get('detail', 'no record of a call')}"


def _json_object(body: bytes) -> dict[str, Any]:
    """The object that `body` is in JSON, or an empty one."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
