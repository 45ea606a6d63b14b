"""`Client` and `AsyncClient`: the gateway's /v1 from Python."""

import ssl
from types import TracebackType
from typing import Self, TypedDict, Unpack

from answerback.client.events import AsyncEvents, Events, events_request
from answerback.client.exports import AsyncExportStream, ExportStream, export_request
from answerback.client.operations import strict
from answerback.client.parameters import EventFilter, ExportFilter
from answerback.client.resources import GatewayOperations
from answerback.client.senders import AsyncSender, ConnectionSettings, SyncSender


class Options(TypedDict, total=False):
    """How a client talks to its gateway; `ConnectionSettings` has the defaults."""

    timeout_s: float
    retries: int
    proxy: str | None
    tls: ssl.SSLContext | None
    masked: bool


class Client(GatewayOperations[SyncSender]):
    """A gateway, for programs of threads; one client may be shared by many.

    A request is repeated up to `retries` times where that is safe, and waits no longer than `timeout_s`. `proxy` is used if it is given,
    and none from the environment. `tls` has the certificates of a private authority. With `masked` no number comes in full,
    whatever the key may see. Raises ConfigError.
    """

    @strict
    def __init__(self, url: str, key: str, **options: Unpack[Options]) -> None:
        super().__init__(SyncSender(ConnectionSettings(url=url, key=key, **options)))

    @strict
    def export(self, dataset: str, format: str = "ndjson", **filters: Unpack[ExportFilter]) -> ExportStream:
        """Calls, callbacks, deliveries or statistics as a file: csv, ndjson, xlsx or parquet."""
        return ExportStream(self.sender, export_request(dataset, format, filters))

    @strict
    def events(self, **filters: Unpack[EventFilter]) -> Events:
        """Callbacks and delivery attempts as they happen, without an end."""
        return Events(self.sender, events_request(filters))

    def close(self) -> None:
        """Close the connections."""
        self.sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(GatewayOperations[AsyncSender]):
    """The same for asyncio: operations are awaited, lists and exports gone through with `async for`."""

    @strict
    def __init__(self, url: str, key: str, **options: Unpack[Options]) -> None:
        super().__init__(AsyncSender(ConnectionSettings(url=url, key=key, **options)))

    @strict
    def export(self, dataset: str, format: str = "ndjson", **filters: Unpack[ExportFilter]) -> AsyncExportStream:
        """Calls, callbacks, deliveries or statistics as a file: csv, ndjson, xlsx or parquet."""
        return AsyncExportStream(self.sender, export_request(dataset, format, filters))

    @strict
    def events(self, **filters: Unpack[EventFilter]) -> AsyncEvents:
        """Callbacks and delivery attempts as they happen, without an end."""
        return AsyncEvents(self.sender, events_request(filters))

    async def close(self) -> None:
        """Close the connections."""
        await self.sender.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
