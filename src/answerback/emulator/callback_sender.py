"""The way of one callback to its receiver, and what that answered."""

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter
from urllib.parse import urlsplit

import aiohttp
import msgspec

from answerback.domain.models import Kind
from answerback.emulator.faults import Parcel
from answerback.errors import AnswerUnreadable
from answerback.tencent.response import read_answer

_TIMEOUT_S = 10.0
_SUCCESS = range(200, 300)
_KEPT_BYTES = 2048
_CHUNK_BYTES = 64


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver answered; `error` is None where it took the callback: 2xx and result 0."""

    seconds: float
    status: int | None = None
    result: int | None = None
    answer: bytes = b""
    error: str | None = None


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to tell. `number` is the same for all attempts at one callback; `key` where it tells of one."""

    number: int
    attempt: int
    kind: Kind
    key: str = ""
    body: bytes
    began_s: float
    answer: Reply

    @property
    def accepted(self) -> bool:
        """Whether the receiver has it."""
        return self.answer.error is None


class Postman:
    """Carries callbacks over connections that it keeps open. Make it inside the loop."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def carry(self, url: str, parcel: Parcel) -> Reply:
        """POST once. A failure is a value."""
        began_s = perf_counter()
        if parcel.cut:
            words = await _cut_off(url, parcel.body)
            return Reply(seconds=perf_counter() - began_s, error=words)
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
        headers = {} if parcel.content_type is None else {"Content-Type": parcel.content_type}
        skipped = ("Content-Type",) if parcel.content_type is None else ()
        body = _chunks(parcel.body) if parcel.chunked else parcel.body
        try:
            async with self._session.post(
                url, data=body, headers=headers, skip_auto_headers=skipped, allow_redirects=False
            ) as response:
                answer = await _read(response.content)
                return judged(response.status, answer, perf_counter() - began_s)
        except TimeoutError:
            return Reply(seconds=perf_counter() - began_s, error=f"no answer within {_TIMEOUT_S:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Reply(seconds=perf_counter() - began_s, error=f"no answer: {error or type(error).__name__}")


async def _read(content: aiohttp.StreamReader) -> bytes:
    """As much of an answer as is kept; it may come in pieces."""
    answer = b""
    while len(answer) < _KEPT_BYTES and (piece := await content.read(_KEPT_BYTES - len(answer))):
        answer += piece
    return answer


def judged(status: int, answer: bytes, seconds: float) -> Reply:
    """What an answer means: by the contract, 2xx with result 0 takes the callback."""
    try:
        told = read_answer(answer)
    except AnswerUnreadable as error:
        return Reply(seconds=seconds, status=status, answer=answer, error=str(error))
    fine = told.result == 0 and status in _SUCCESS
    problem = None if fine else f"answered {status} with result {told.result}: {told.errmsg}"
    return Reply(seconds=seconds, status=status, result=told.result, answer=answer, error=problem)


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _CHUNK_BYTES):
        yield body[start : start + _CHUNK_BYTES]
        await asyncio.sleep(0)


async def _cut_off(url: str, body: bytes) -> str:
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
