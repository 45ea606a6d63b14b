"""Requests to the receiver: ordinary ones by a client library, odd ones byte by byte."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from time import perf_counter
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from answerback.emulator.conformance.evaluation import Answer, Silence
from answerback.emulator.conformance.raw_connection import AGENT, KEPT_BYTES, Line, framed
from answerback.emulator.conformance.requests import CUTS, Request, Way

_CHUNK_BYTES = 64


class Wire:
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

    async def reach(self) -> str | None:
        """Open a connection and close it; why there is none, or None."""
        try:
            async with asyncio.timeout(self.timeout_s):
                line = await Line.open(self._url)
        except TimeoutError:
            return f"no connection within {self.timeout_s:g} s"
        except (OSError, ValueError) as error:
            return str(error) or type(error).__name__
        await line.close()
        return None

    async def ask(self, request: Request) -> Answer:
        """Send a request over a connection of its own."""
        if request.way in CUTS:
            return await self._drop(request)
        if request.way is Way.PACKETS:
            (answer,) = await self.ask_on_one([request])
            return answer
        return await self._ask_politely(request)

    async def ask_on_one(self, requests: Sequence[Request]) -> list[Answer]:
        """Send requests one after the other over one connection, or as few as it takes; ends where one is silent."""
        answers: list[Answer] = []
        line: Line | None = None
        for request in requests:
            answer, line = await self._ask_on(line, request, reconnected=line is None and bool(answers))
            answers.append(answer)
            if answer.silence is not None:
                break
        if line is not None:
            await line.close()
        return answers

    async def _ask_on(self, line: Line | None, request: Request, *, reconnected: bool) -> tuple[Answer, Line | None]:
        """The answer, and the connection where it can take another request."""
        began_s = perf_counter()
        try:
            async with asyncio.timeout(self.timeout_s):
                line = line or await Line.open(self._url)
                answer = await line.ask(request, reconnected=reconnected)
        except TimeoutError:
            answer = _silent(Silence.TIMED_OUT, began_s)
        except OSError:
            answer = _silent(Silence.UNREACHED, began_s)
        if line is not None and not line.reusable:
            await line.close()
            line = None
        return answer, line

    async def _ask_politely(self, request: Request) -> Answer:
        headers = {} if request.content_type is None else {"Content-Type": request.content_type}
        data = None if request.method == "GET" else request.body
        sent = _chunks(request.body) if request.way is Way.CHUNKED else data
        began_s = perf_counter()
        try:
            async with self._session.request(
                request.method, URL(self._url, encoded=True), data=sent, headers=headers, allow_redirects=False
            ) as response:
                body = bytearray()
                async for part in response.content.iter_any():
                    body += part
                    if len(body) > KEPT_BYTES:
                        break
                return Answer(
                    seconds=perf_counter() - began_s,
                    status=response.status,
                    content_type=response.headers.get("Content-Type", ""),
                    body=bytes(body),
                )
        except TimeoutError:
            return _silent(Silence.TIMED_OUT, began_s)
        except aiohttp.ClientConnectorError:
            return _silent(Silence.UNREACHED, began_s)
        except aiohttp.ClientResponseError:
            return _silent(Silence.NOT_HTTP, began_s)
        except (aiohttp.ClientError, OSError):
            return _silent(Silence.HUNG_UP, began_s)

    async def _drop(self, request: Request) -> Answer:
        began_s = perf_counter()
        head, body = framed(self._url, request)
        cut = {
            Way.CUT_IN_HEAD: head[: len(head) // 2],
            Way.CUT_IN_BODY: head + body[: len(body) // 2],
            Way.CUT_IN_CHUNK: head + body[: len(body) // 2],
        }
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self.timeout_s):
                line = await Line.open(self._url)
                await line.write(cut[request.way])
                await line.close()
        return _silent(Silence.NOT_AWAITED, began_s)


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _CHUNK_BYTES):
        yield body[start : start + _CHUNK_BYTES]
        await asyncio.sleep(0)


def _silent(silence: Silence, began_s: float) -> Answer:
    return Answer(seconds=perf_counter() - began_s, silence=silence)
