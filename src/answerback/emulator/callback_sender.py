"""Sends callbacks to a receiver, and reads its responses."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from time import perf_counter
from urllib.parse import urlsplit

import aiohttp
import msgspec

from answerback.domain.models import CallbackKind
from answerback.emulator.faults import OutgoingCallback
from answerback.errors import InvalidResponse, describe_os_error
from answerback.tencent.response import decode_response

_TIMEOUT_S = 10.0
_SUCCESS = range(200, 300)
_MAX_BODY_BYTES = 2048
_CHUNK_BYTES = 64


class ReceiverResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver answered; `error` is None where it took the callback: 2xx and result 0."""

    seconds: float
    status: int | None = None
    result: int | None = None
    body: bytes = b""
    error: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the receiver has it."""
        return self.error is None


class CallbackAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a callback. `number` is the same for all attempts at one callback; `key` where one was pressed."""

    number: int
    attempt: int
    kind: CallbackKind
    key: str = ""
    body: bytes
    started_s: float
    response: ReceiverResponse

    @property
    def accepted(self) -> bool:
        """Whether the receiver has it."""
        return self.response.accepted


class CallbackSender:
    """Sends callbacks over connections that it keeps open. Make it inside the loop."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def send(self, url: str, callback: OutgoingCallback) -> ReceiverResponse:
        """POST once. A failure is a value."""
        began_s = perf_counter()
        if callback.drop_halfway:
            words = await _send_half(url, callback.body)
            return ReceiverResponse(seconds=perf_counter() - began_s, error=words)
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
        headers = {} if callback.content_type is None else {"Content-Type": callback.content_type}
        skipped = ("Content-Type",) if callback.content_type is None else ()
        body = _chunks(callback.body) if callback.chunked else callback.body
        try:
            async with self._session.post(
                url, data=body, headers=headers, skip_auto_headers=skipped, allow_redirects=False
            ) as response:
                answer = await _read(response.content)
                return classify_response(response.status, answer, perf_counter() - began_s)
        except TimeoutError:
            return ReceiverResponse(seconds=perf_counter() - began_s, error=f"no answer within {_TIMEOUT_S:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return ReceiverResponse(seconds=perf_counter() - began_s, error=f"no answer: {_describe(error)}")


async def send_all(url: str, bodies: Iterable[bytes], concurrency: int) -> AsyncIterator[ReceiverResponse]:
    """POST each of `bodies` once, `concurrency` at a time; yields the responses as they come."""
    responses: asyncio.Queue[ReceiverResponse | None] = asyncio.Queue()
    callbacks = (OutgoingCallback(delay_s=0.0, body=body) for body in bodies)
    sender = CallbackSender()

    async def work() -> None:
        for callback in callbacks:
            responses.put_nowait(await sender.send(url, callback))

    async def finish() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())
        await sender.close()
        responses.put_nowait(None)

    finishing = asyncio.create_task(finish())
    while (response := await responses.get()) is not None:
        yield response
    await finishing


def _describe(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        return describe_os_error(error.os_error)
    return str(error) or type(error).__name__


async def _read(content: aiohttp.StreamReader) -> bytes:
    """As much of an answer as is kept; it may come in pieces."""
    answer = b""
    while len(answer) < _MAX_BODY_BYTES and (piece := await content.read(_MAX_BODY_BYTES - len(answer))):
        answer += piece
    return answer


def classify_response(status: int, body: bytes, seconds: float) -> ReceiverResponse:
    """What an answer means: by the contract, 2xx with result 0 takes the callback."""
    try:
        decoded = decode_response(body)
    except InvalidResponse as error:
        return ReceiverResponse(seconds=seconds, status=status, body=body, error=str(error))
    fine = decoded.result == 0 and status in _SUCCESS
    problem = None if fine else f"answered {status} with result {decoded.result}: {decoded.errmsg}"
    return ReceiverResponse(seconds=seconds, status=status, result=decoded.result, body=body, error=problem)


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _CHUNK_BYTES):
        yield body[start : start + _CHUNK_BYTES]
        await asyncio.sleep(0)


async def _send_half(url: str, body: bytes) -> str:
    """Begin to send, and go away in the middle of the body; what came of it, in words."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    target = parts.path or "/"
    if parts.query:
        target += f"?{parts.query}"
    head = f"POST {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        _, writer = await asyncio.open_connection(parts.hostname, parts.port or (443 if secure else 80), ssl=secure)
        writer.write(head.encode() + body[: len(body) // 2])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    except OSError as error:
        return f"no answer: {error}"
    return "the connection was dropped half-way, on purpose"
