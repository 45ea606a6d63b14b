"""Exports as streams: no more of a file is in memory than has just come."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from answerback.client.bodies import Lines
from answerback.client.errors import ConnectionFailed, Invalid, UnexpectedResponse
from answerback.client.parameters import ExportFilter
from answerback.client.requests import GatewayRequest
from answerback.client.senders import AsyncSender, SyncSender, describe


def export_request(dataset: str, format: str, filters: ExportFilter) -> GatewayRequest[bytes]:
    path = {"dataset": dataset, "format": format}
    template = "/v1/exports/{dataset}.{format}"
    return GatewayRequest(method="GET", template=template, path=path, query=filters, parse=bytes, is_repeatable=True)


class ExportStream:
    """A file of the gateway's: `save` it, go through its bytes, or through its rows; each asks for it anew."""

    def __init__(self, sender: SyncSender, request: GatewayRequest[bytes]) -> None:
        self._sender = sender
        self._request = request

    def __iter__(self) -> Generator[bytes, None, None]:
        with contextlib.closing(self._sender.open(self._request)) as response:
            try:
                yield from response.iter_bytes()
            except httpx2.RequestError as error:
                raise _broken_off(error) from error

    def rows(self) -> Generator[dict[str, Any], None, None]:
        """The records of an export in NDJSON."""
        rows = _RowReader(self._request)
        for chunk in self:
            yield from rows.feed(chunk)
        rows.end()

    def save(self, path: str | Path) -> None:
        """Write the file; it has its name once it is whole."""
        with _partial(path) as partial, partial.open("wb") as file:
            file.writelines(self)


class AsyncExportStream:
    """A file of the gateway's: `save` it, go through its bytes, or through its rows; each asks for it anew."""

    def __init__(self, sender: AsyncSender, request: GatewayRequest[bytes]) -> None:
        self._sender = sender
        self._request = request

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(await self._sender.open(self._request)) as response:
            try:
                async for chunk in response.aiter_bytes():
                    yield chunk
            except httpx2.RequestError as error:
                raise _broken_off(error) from error

    async def rows(self) -> AsyncGenerator[dict[str, Any], None]:
        """The records of an export in NDJSON."""
        rows = _RowReader(self._request)
        async with contextlib.aclosing(aiter(self)) as chunks:
            async for chunk in chunks:
                for row in rows.feed(chunk):
                    yield row
        rows.end()

    async def save(self, path: str | Path) -> None:
        """Write the file, in a thread; it has its name once it is whole."""
        with _partial(path) as partial, partial.open("wb") as file:
            async with contextlib.aclosing(aiter(self)) as chunks:
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)


class _RowReader:
    """The records of NDJSON that comes in pieces."""

    def __init__(self, request: GatewayRequest[bytes]) -> None:
        if request.path["format"] != "ndjson":
            raise Invalid("format: rows can be read of ndjson only", field="format")
        self._lines = Lines("the export")

    def feed(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """The records that are whole with `chunk`."""
        return map(_row, self._lines.feed(chunk))

    def end(self) -> None:
        """Raise ConnectionFailed where a line has no end."""
        if self._lines.rest:
            raise ConnectionFailed("the export was cut off, it is incomplete: its last line has no end")


def _row(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    raise UnexpectedResponse(
        "the export has a line that is not a JSON object"
    )  # which is not shown: it may hold numbers


@contextlib.contextmanager
def _partial(path: str | Path) -> Iterator[Path]:
    """Where to write until the file at `path` is whole."""
    partial = Path(f"{path}.part")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _broken_off(error: httpx2.RequestError) -> ConnectionFailed:
    return ConnectionFailed(f"the export was cut off, it is incomplete: {describe(error)}")
