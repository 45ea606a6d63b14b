"""Send one delivery attempt. A failed attempt is a value, not an exception."""

import asyncio
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from answerback.certificates import Certificates
from answerback.domain.endpoints import AttemptResult, Endpoint, HttpExchange
from answerback.relay.egress_policy import EgressPolicy, Network

if TYPE_CHECKING:
    from answerback.relay.http_client import HttpClient

RESPONSE_EXCERPT_BYTES = 2048
"""How much of a response is stored with its attempt."""


class LeaseExpired(Exception):
    """Nothing was sent: this process no longer holds the endpoint's lease."""


class WebhookSender:
    """Sends deliveries. The HTTP client is imported with the first endpoint, because that takes a tenth of the start."""

    def __init__(
        self,
        allowed_networks: Sequence[Network] = (),
        certificates: Certificates | None = None,
        proxy: str | None = None,
    ) -> None:
        self.certificates = certificates or Certificates()
        self.egress_policy = EgressPolicy(allowed_networks, trusted=False)
        self._proxy = proxy
        self.may_send: Callable[[], bool] = lambda: True
        """Called right before a request is written, because connecting may have taken long."""
        self._client: asyncio.Task[HttpClient] | None = None

    def prepare(self) -> "asyncio.Task[HttpClient]":
        """Start to import and create the HTTP client in a thread."""
        if self._client is None:
            self._client = asyncio.get_running_loop().create_task(self._make_client())
        return self._client

    async def _make_client(self) -> "HttpClient":
        module = await asyncio.to_thread(import_module, "answerback.relay.http_client")
        client: HttpClient = module.HttpClient(self.egress_policy, self.certificates, self._may_send_now, self._proxy)
        return client

    def _may_send_now(self) -> bool:
        return self.may_send()

    async def close(self) -> None:
        if self._client is not None:
            await (await self._client).close()

    async def send(
        self,
        endpoint: Endpoint,
        message_id: str,
        body: bytes,
        *,
        retry_closed_connection: bool = False,
        traceparent: str | None = None,
        exchange: HttpExchange | None = None,
    ) -> AttemptResult:
        """POST `body` once. `retry_closed_connection`: once more if a pooled connection turns out to be closed. Raises LeaseExpired.

        `exchange` is filled in, where it is given.
        """
        client = await asyncio.shield(self.prepare())  # a cancelled caller must not cancel it for the others
        return await client.send(
            endpoint,
            message_id,
            body,
            retry_closed_connection=retry_closed_connection,
            traceparent=traceparent,
            exchange=exchange,
        )


async def resolve(host: str, port: int) -> list[str]:
    """Resolve a host name to addresses; empty if it does not resolve."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port)
    except (OSError, UnicodeError):  # no such name, or not a valid one
        return []
    return [str(address[0]) for *_, address in found]
