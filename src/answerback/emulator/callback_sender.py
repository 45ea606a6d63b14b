"""Sends callbacks to a receiver, and reads its responses."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from time import perf_counter
from typing import NamedTuple

import msgspec

from answerback.domain.models import CallbackKind
from answerback.emulator.faults import OutgoingCallback
from answerback.emulator.http_client import HttpConnection, HttpTarget, PooledClient
from answerback.errors import ConfigError, InvalidResponse
from answerback.tencent.response import OK_RESPONSE, decode_response

_TIMEOUT_S = 10.0
_SUCCESS = range(200, 300)
_REDIRECT = range(300, 400)
_MAX_BODY_BYTES = 2048
_CHUNK_BYTES = 64


class Refusal(NamedTuple):
    """How a receiver said no; `result` is None where the answer is not the contract's."""

    status: int
    result: int | None
    errmsg: str


class ReceiverResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver answered; `error` is None where it took the callback: 2xx and result 0."""

    seconds: float
    status: int | None = None
    result: int | None = None
    body: bytes = b""
    error: str | None = None

    @property
    def accepted(self) -> bool:
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
        return self.response.accepted


class CallbackSender:
    """Sends callbacks over connections that it keeps open."""

    def __init__(self) -> None:
        self._client = PooledClient()

    async def close(self) -> None:
        self._client.close()

    async def send(self, url: str, callback: OutgoingCallback) -> ReceiverResponse:
        """POST once. A failure is a value."""
        began_s = perf_counter()
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                status, answer = await self._post(HttpTarget(url), callback)
        except TimeoutError:
            error = f"no answer within {_TIMEOUT_S:g} s"
        except (OSError, ValueError, ConfigError) as failure:
            error = f"no answer: {failure or type(failure).__name__}"
        else:
            if status is not None:
                return classify_response(status, answer, perf_counter() - began_s)
            error = "the connection was dropped half-way, on purpose"
        return ReceiverResponse(seconds=perf_counter() - began_s, error=error)

    async def _post(self, target: HttpTarget, callback: OutgoingCallback) -> tuple[int | None, bytes]:
        """Status and body of the answer; the status is None where the connection was dropped."""
        headers = {} if callback.content_type is None else {"Content-Type": callback.content_type}
        if callback.drop_halfway:
            connection = await HttpConnection.connect(target)
            head, body = target.frame(callback.body, headers)
            connection.write(head + body[: len(body) // 2])
            await connection.close()
            return None, b""
        packets = target.frame(callback.body, headers, chunk_bytes=_CHUNK_BYTES if callback.chunked else None)
        answer = await self._client.send(target, packets)
        return answer.status, answer.body[:_MAX_BODY_BYTES]


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


def classify_response(status: int, body: bytes, seconds: float) -> ReceiverResponse:
    """What an answer means: by the contract, 2xx with result 0 takes the callback."""
    refusal = find_refusal(status, body)
    if refusal is None:
        return ReceiverResponse(seconds=seconds, status=status, result=0, body=body)
    _, result, errmsg = refusal
    problem = errmsg if result is None else f"answered {status} with result {result}: {errmsg}"
    return ReceiverResponse(seconds=seconds, status=status, result=result, body=body, error=problem)


def find_refusal(status: int, body: bytes) -> Refusal | None:
    """None where the receiver has taken the callback: 2xx and result 0."""
    if body == OK_RESPONSE and status in _SUCCESS:
        return None
    if status in _REDIRECT:
        return Refusal(status, None, "redirects are not followed: use the URL that this one leads to")
    try:
        decoded = decode_response(body)
    except InvalidResponse as error:
        return Refusal(status, None, str(error))
    return None if decoded.result == 0 and status in _SUCCESS else Refusal(status, decoded.result, decoded.errmsg)
