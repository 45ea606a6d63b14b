"""`Client` and `AsyncClient` for tests that are the same for both."""

import asyncio
import inspect
from collections.abc import AsyncIterable, Iterable
from typing import Any

from answerback.client import AsyncClient, Client


class Driver:
    """Makes clients of one sort, and waits for what they give, if it is to be waited for."""

    def __init__(self, kind: type[Client | AsyncClient]) -> None:
        self._kind = kind
        self._clients: list[Client | AsyncClient] = []
        self._runner = asyncio.Runner()

    def make(self, url: str, key: str, **options: Any) -> Any:
        """Make a client, closed at the end."""
        self._clients.append(self._kind(url, key, **options))
        return self._clients[-1]

    def get(self, answer: Any) -> Any:
        """The answer itself."""
        return self._runner.run(answer) if inspect.iscoroutine(answer) else answer

    def all(self, many: Iterable[Any] | AsyncIterable[Any]) -> list[Any]:
        """All that there is to go through."""
        return list(many) if isinstance(many, Iterable) else self.get(_collect(many))

    def close(self) -> None:
        """Close all clients that were made."""
        for client in self._clients:
            self.get(client.close())
        self._runner.close()


async def _collect(many: AsyncIterable[Any]) -> list[Any]:
    return [item async for item in many]
