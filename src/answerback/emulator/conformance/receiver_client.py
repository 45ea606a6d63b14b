"""Requests to the receiver: ordinary ones by a client library, odd ones byte by byte."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from time import perf_counter
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from answerback.emulator.conformance.evaluation import NoResponse, ReceivedResponse
from answerback.emulator.conformance.raw_connection import AGENT, MAX_BODY_BYTES, RawConnection, frame_request
from answerback.emulator.conformance.requests import CUTS, Request, Transport

_CHUNK_BYTES = 64


class ReceiverClient:
    """Sends requests to one URL and reads the answers; an async context manager.

    `origin` is the URL without its path. Raises ValueError where `url` cannot be a callback URL.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        quoted = URL(url)
        if quoted.host is None:
            raise ValueError("there is no host in it")
        if quoted.user is not None:
            raise ValueError("a callback URL has no user name in it")
        self.origin = str(quoted.origin())
        self.timeout_s = timeout_s
        self._url = str(quoted)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=self.timeout_s),
            headers={"User-Agent": AGENT},
            skip_auto_headers=("Content-Type", "Accept-Encoding"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def check_connection(self) -> str | None:
        """Open a connection and close it; why there is none, or None."""
        try:
            async with asyncio.timeout(self.timeout_s):
                connection = await RawConnection.open(self._url)
        except TimeoutError:
            return f"no connection within {self.timeout_s:g} s"
        except (OSError, ValueError) as error:
            return str(error) or type(error).__name__
        await connection.close()
        return None

    async def send(self, request: Request) -> ReceivedResponse:
        """Send a request over a connection of its own."""
        if request.transport in CUTS:
            return await self._drop_connection(request)
        if request.transport is Transport.PACKETS:
            (answer,) = await self.send_on_one_connection([request])
            return answer
        return await self._send_with_client(request)

    async def send_on_one_connection(self, requests: Sequence[Request]) -> list[ReceivedResponse]:
        """Send requests one after the other over one connection, or as few as it takes; ends where one is silent."""
        answers: list[ReceivedResponse] = []
        connection: RawConnection | None = None
        for request in requests:
            answer, connection = await self._send_on(
                connection, request, reconnected=connection is None and bool(answers)
            )
            answers.append(answer)
            if answer.no_response is not None:
                break
        if connection is not None:
            await connection.close()
        return answers

    async def _send_on(
        self, connection: RawConnection | None, request: Request, *, reconnected: bool
    ) -> tuple[ReceivedResponse, RawConnection | None]:
        """The answer, and the connection where it can take another request."""
        began_s = perf_counter()
        try:
            async with asyncio.timeout(self.timeout_s):
                connection = connection or await RawConnection.open(self._url)
                answer = await connection.send(request, reconnected=reconnected)
        except TimeoutError:
            answer = _no_response(NoResponse.TIMED_OUT, began_s)
        except OSError:
            answer = _no_response(NoResponse.UNREACHED, began_s)
        if connection is not None and not connection.reusable:
            await connection.close()
            connection = None
        return answer, connection

    async def _send_with_client(self, request: Request) -> ReceivedResponse:
        headers = {} if request.content_type is None else {"Content-Type": request.content_type}
        data = None if request.method == "GET" else request.body
        sent = _chunks(request.body) if request.transport is Transport.CHUNKED else data
        began_s = perf_counter()
        try:
            async with self._session.request(
                request.method, URL(self._url, encoded=True), data=sent, headers=headers, allow_redirects=False
            ) as response:
                body = bytearray()
                async for part in response.content.iter_any():
                    body += part
                    if len(body) > MAX_BODY_BYTES:
                        break
                return ReceivedResponse(
                    seconds=perf_counter() - began_s,
                    status=response.status,
                    content_type=response.headers.get("Content-Type", ""),
                    body=bytes(body),
                )
        except TimeoutError:
            return _no_response(NoResponse.TIMED_OUT, began_s)
        except aiohttp.ClientConnectorError:
            return _no_response(NoResponse.UNREACHED, began_s)
        except aiohttp.ClientResponseError:
            return _no_response(NoResponse.NOT_HTTP, began_s)
        except (aiohttp.ClientError, OSError):
            return _no_response(NoResponse.HUNG_UP, began_s)

    async def _drop_connection(self, request: Request) -> ReceivedResponse:
        began_s = perf_counter()
        head, body = frame_request(self._url, request)
        cut = {
            Transport.CUT_IN_HEAD: head[: len(head) // 2],
            Transport.CUT_IN_BODY: head + body[: len(body) // 2],
            Transport.CUT_IN_CHUNK: head + body[: len(body) // 2],
        }
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self.timeout_s):
                connection = await RawConnection.open(self._url)
                await connection.write(cut[request.transport])
                await connection.close()
        return _no_response(NoResponse.NOT_AWAITED, began_s)


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _CHUNK_BYTES):
        yield body[start : start + _CHUNK_BYTES]
        await asyncio.sleep(0)


def _no_response(reason: NoResponse, began_s: float) -> ReceivedResponse:
    return ReceivedResponse(seconds=perf_counter() - began_s, no_response=reason)
