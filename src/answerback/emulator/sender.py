"""POSTs callbacks to anybody's URL, many at a time, and reads the answers."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from time import perf_counter

import aiohttp
import msgspec

from answerback.errors import InvalidResponse
from answerback.tencent.response import decode_response

_TIMEOUT_S = 30.0
_SUCCESS = range(200, 300)
_HEADERS = {"Content-Type": "application/json"}


class SendResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver answered; `status` and `result` are None where there was no such answer.

    `accepted`: 2xx with `result` 0, as the contract wants it.
    """

    accepted: bool
    status: int | None
    result: int | None
    errmsg: str
    seconds: float


async def send_all(url: str, bodies: Iterable[bytes], concurrency: int) -> AsyncIterator[SendResult]:
    """POST each of `bodies`, `concurrency` at a time; yields the replies as they come."""
    replies: asyncio.Queue[SendResult | None] = asyncio.Queue()
    waiting = iter(bodies)
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=_HEADERS) as session:

        async def work(mine: Iterator[bytes]) -> None:
            for body in mine:
                replies.put_nowait(await _send(session, url, body))

        async def finish() -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(work(waiting))
            replies.put_nowait(None)

        finishing = asyncio.create_task(finish())
        while (reply := await replies.get()) is not None:
            yield reply
        await finishing


async def _send(session: aiohttp.ClientSession, url: str, body: bytes) -> SendResult:
    began_s = perf_counter()
    status = None
    try:
        async with session.post(url, data=body, allow_redirects=False) as response:
            status = response.status
            answer = decode_response(await response.read())
    except InvalidResponse as error:
        return _rejected(status, None, str(error), began_s)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return _rejected(status, None, f"no answer: {error or type(error).__name__}", began_s)
    if answer.result != 0 or status not in _SUCCESS:
        return _rejected(status, answer.result, answer.errmsg, began_s)
    return SendResult(
        accepted=True, status=status, result=answer.result, errmsg=answer.errmsg, seconds=perf_counter() - began_s
    )


def _rejected(status: int | None, result: int | None, errmsg: str, began_s: float) -> SendResult:
    return SendResult(accepted=False, status=status, result=result, errmsg=errmsg, seconds=perf_counter() - began_s)
