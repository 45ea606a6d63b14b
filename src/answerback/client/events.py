"""What happens at the gateway, as it happens: an iterator that connects again by itself, from where it was."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import Generic, TypeVar

import httpx2
import msgspec
from pydantic import TypeAdapter, ValidationError

from answerback.client.bodies import Lines
from answerback.client.errors import ApiError, ConnectionFailed, RateLimited, Unavailable, UnexpectedResponse
from answerback.client.parameters import EventFilter
from answerback.client.requests import GatewayRequest
from answerback.client.senders import AsyncSender, SyncSender
from answerback.domain.backoff import repeating_delay_s
from answerback.schemas.events import ActivityView, AttemptActivityView, CallbackActivityView

S = TypeVar("S", bound=SyncSender | AsyncSender)
Activity = CallbackActivityView | AttemptActivityView

_SILENCE_S = 45.0  # three heartbeats
_DELAYS_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_JITTER = 0.3
_TRANSIENT = (ConnectionFailed, Unavailable, RateLimited)

_adapter: TypeAdapter[Activity] = TypeAdapter(ActivityView)


def events_request(filters: EventFilter) -> GatewayRequest[bytes]:
    return GatewayRequest(
        method="GET",
        template="/v1/events",
        query={name: str(value).lower() if isinstance(value, bool) else value for name, value in filters.items()},
        parse=bytes,
        is_repeatable=True,
        least_timeout_s=_SILENCE_S,
    )


class _Position:
    """Where a stream of events is, over all its connections."""

    def __init__(self, request: GatewayRequest[bytes]) -> None:
        self._request = request
        self._failures = 0
        self._has_begun = False
        self.cursor: str | None = request.query.get("after")
        """Behind the last event; None: not connected yet."""

    @property
    def request(self) -> GatewayRequest[bytes]:
        """What goes on from here."""
        return msgspec.structs.replace(self._request, query={**self._request.query, "after": self.cursor})

    @property
    def beginning(self) -> GatewayRequest[bytes]:
        """What says where it begins, and reveals nothing."""
        return msgspec.structs.replace(self._request, query={**self._request.query, "masked": "true"})

    def move(self, cursor: str) -> None:
        self.cursor = cursor
        self._has_begun = True
        self._failures = 0

    def delay_s(self, error: httpx2.RequestError | ApiError | None = None) -> float:
        """How long to wait after a connection has ended. Raises the error if another one would not help, or none has ever been."""
        if isinstance(error, ApiError) and not (self._has_begun and isinstance(error, _TRANSIENT)):
            raise error
        delay_s = repeating_delay_s(_DELAYS_S, self._failures, _JITTER)
        self._failures += 1
        return max(delay_s, getattr(error, "retry_after_s", None) or 0.0)


class _Parser:
    """The messages of one connection, that come in pieces: the cursor behind each, and its event, if it has one."""

    def __init__(self) -> None:
        self._lines = Lines("GET /v1/events")
        self._id = self._data = b""

    def feed(self, chunk: bytes) -> Iterator[tuple[str, Activity | None]]:
        """The messages that are whole with `chunk`. Raises UnexpectedResponse."""
        for line in self._lines.feed(chunk):
            name, _, value = line.partition(b": ")
            if name == b"id":
                self._id = value
            elif name == b"data":
                self._data = value
            elif not line:
                id_, data, self._id, self._data = self._id, self._data, b"", b""
                if id_:
                    yield id_.decode(errors="replace"), _read(data) if data else None


def _read(data: bytes) -> Activity:
    try:
        return _adapter.validate_json(data)
    except ValidationError as error:
        place = ".".join(map(str, error.errors(include_input=False)[0]["loc"])) or "an event"
    raise UnexpectedResponse(f"GET /v1/events: {place} is not what this version of the client expects")


class _BaseEvents(Generic[S]):
    def __init__(self, sender: S, request: GatewayRequest[bytes]) -> None:
        self._sender = sender
        self._position = _Position(request)

    @property
    def cursor(self) -> str | None:
        return self._position.cursor


class Events(_BaseEvents[SyncSender]):
    """Events as they happen. `cursor` is the position behind the last one: `after` of another stream goes on from there.

    Without a gateway it waits for one, once it has been connected. Raises ApiError.
    """

    def begin(self) -> None:
        """Begin now: what happens from here on comes, however late it is asked for."""
        with contextlib.closing(self._sender.open(self._position.beginning)) as response:
            parser = _Parser()
            for chunk in response.iter_bytes():
                for cursor, _ in parser.feed(chunk):
                    self._position.move(cursor)
                    return

    def __iter__(self) -> Generator[Activity, None, None]:
        position = self._position
        while True:
            try:
                with contextlib.closing(self._sender.open(position.request)) as response:
                    parser = _Parser()
                    for chunk in response.iter_bytes():
                        for cursor, event in parser.feed(chunk):
                            position.move(cursor)
                            if event is not None:
                                yield event
                delay_s = position.delay_s()
            except (httpx2.RequestError, ApiError) as error:
                delay_s = position.delay_s(error)
            time.sleep(delay_s)


class AsyncEvents(_BaseEvents[AsyncSender]):
    """Events as they happen. `cursor` is the position behind the last one: `after` of another stream goes on from there.

    Without a gateway it waits for one, once it has been connected. Raises ApiError.
    """

    async def begin(self) -> None:
        """Begin now: what happens from here on comes, however late it is asked for."""
        async with contextlib.aclosing(await self._sender.open(self._position.beginning)) as response:
            parser = _Parser()
            async for chunk in response.aiter_bytes():
                for cursor, _ in parser.feed(chunk):
                    self._position.move(cursor)
                    return

    async def __aiter__(self) -> AsyncGenerator[Activity, None]:
        position = self._position
        while True:
            try:
                async with contextlib.aclosing(await self._sender.open(position.request)) as response:
                    parser = _Parser()
                    async for chunk in response.aiter_bytes():
                        for cursor, event in parser.feed(chunk):
                            position.move(cursor)
                            if event is not None:
                                yield event
                delay_s = position.delay_s()
            except (httpx2.RequestError, ApiError) as error:
                delay_s = position.delay_s(error)
            await asyncio.sleep(delay_s)
