"""One attempt: a delivery POSTed to its endpoint, and what came back. A failure is a value, never an exception."""

import asyncio
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import msgspec

from answerback.domain.models import Endpoint
from answerback.relay.certificates import Certificates
from answerback.relay.egress_policy import Guard, Network

if TYPE_CHECKING:
    from answerback.relay.http_client import HttpClient

KEPT_BYTES = 2048
"""So much of an answer is kept with its attempt."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an attempt came to. `error` None: accepted. `retry_after_s`: how long the endpoint wants to be left alone."""

    began_us: int
    duration_us: int
    status: int | None = None
    answer: bytes = b""
    error: str | None = None
    gone: bool = False
    retry_after_s: float | None = None


class TooLate(Exception):
    """Nothing was sent: there is no right to it any more."""


class Courier:
    """Carries deliveries. Its HTTP client is there once there is an endpoint: importing it costs a tenth of a start."""

    def __init__(self, allow_networks: Sequence[Network] = (), certificates: Certificates | None = None) -> None:
        self.certificates = certificates or Certificates()
        self.guard = Guard(allow_networks, trusted=False)
        self.may_send: Callable[[], bool] = lambda: True
        """Asked at the last moment before a request is written: much time may have passed while it was connected."""
        self._opening: asyncio.Task[HttpClient] | None = None

    def open(self) -> "asyncio.Task[HttpClient]":
        """Get the client ready, beside the loop: there is an endpoint."""
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())
        return self._opening

    async def _open(self) -> "HttpClient":
        module = await asyncio.to_thread(import_module, "answerback.relay.http_client")
        client: HttpClient = module.HttpClient(self.guard, self.certificates, self._may_send_now)
        return client

    def _may_send_now(self) -> bool:
        return self.may_send()

    async def close(self) -> None:
        """Close the connections."""
        if self._opening is not None:
            await (await self._opening).close()

    async def attempt(
        self,
        endpoint: Endpoint,
        message_id: str,
        body: bytes,
        *,
        again: bool = False,
        traceparent: str | None = None,
    ) -> Outcome:
        """POST `body` once. `again`: once more at once where a kept connection turns out to be closed. Raises TooLate."""
        client = await asyncio.shield(self.open())  # who is cancelled leaves it to the others
        return await client.attempt(endpoint, message_id, body, again=again, traceparent=traceparent)


async def addresses_of(host: str, port: int) -> list[str]:
    """What a name means now; empty where it means nothing."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port)
    except (OSError, UnicodeError):  # no such name, or none that could be
        return []
    return [str(address[0]) for *_, address in found]
