"""Requests to the receiver: callbacks as the cloud sends them, and what a polite client would never send."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter

from answerback.emulator.conformance.evaluation import NoResponse, ReceivedResponse
from answerback.emulator.conformance.requests import CUTS, CallbackRequest, Transport
from answerback.emulator.http_client import HttpConnection, HttpTarget, InvalidHttp
from answerback.errors import ConfigError

_CHUNK_BYTES = 64
_BETWEEN_PACKETS_S = 0.002


class ReceiverClient:
    """Sends requests to one URL and reads the answers. Raises ConfigError where `url` cannot be a callback URL."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._target = HttpTarget(url)
        if self._target.has_login:
            raise ConfigError("URL: a callback URL has no user name in it")
        self.origin = self._target.origin
        """The URL without its path."""
        self.timeout_s = timeout_s

    async def check_connection(self) -> str | None:
        """Open a connection and close it; why there is none, or None."""
        try:
            async with asyncio.timeout(self.timeout_s):
                connection = await HttpConnection.connect(self._target)
        except TimeoutError:
            return f"no connection within {self.timeout_s:g} s"
        except (OSError, ValueError) as error:
            return str(error) or type(error).__name__
        await connection.close()
        return None

    async def send(self, request: CallbackRequest) -> ReceivedResponse:
        """Send a request over a connection of its own."""
        if request.transport in CUTS:
            return await self._drop_connection(request)
        (answer,) = await self.send_on_one_connection([request])
        return answer

    async def send_on_one_connection(self, requests: Sequence[CallbackRequest]) -> list[ReceivedResponse]:
        """Send requests one after the other over one connection, or as few as it takes; ends where one is silent."""
        answers: list[ReceivedResponse] = []
        connection: HttpConnection | None = None
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
        self, connection: HttpConnection | None, request: CallbackRequest, *, reconnected: bool
    ) -> tuple[ReceivedResponse, HttpConnection | None]:
        """The answer, and the connection where it can take another request."""
        began_s = perf_counter()
        try:
            async with asyncio.timeout(self.timeout_s):
                connection = connection or await HttpConnection.connect(self._target)
        except TimeoutError:
            return _no_response(NoResponse.TIMED_OUT, began_s), None
        except OSError:
            return _no_response(NoResponse.UNREACHED, began_s), None
        try:
            async with asyncio.timeout(self.timeout_s):
                response = await connection.send(self._packets(request), _BETWEEN_PACKETS_S)
        except TimeoutError:
            return _no_response(NoResponse.TIMED_OUT, began_s), None
        except InvalidHttp:
            return _no_response(NoResponse.NOT_HTTP, connection.sent_s), None
        except OSError:
            return _no_response(NoResponse.HUNG_UP, connection.sent_s), None
        answer = ReceivedResponse(
            seconds=perf_counter() - connection.sent_s,
            status=response.status,
            content_type=response.content_type,
            body=response.body,
            reconnected=reconnected,
        )
        return answer, connection if connection.open else None

    def _packets(self, request: CallbackRequest) -> list[bytes]:
        packets = self._frame(request)
        if request.transport is Transport.CHUNKED:
            return packets
        data = b"".join(packets)
        size = request.packet_bytes if request.transport is Transport.PACKETS else len(data)
        return [data[start : start + size] for start in range(0, len(data), size)]

    def _frame(self, request: CallbackRequest) -> list[bytes]:
        headers = {} if request.content_type is None else {"Content-Type": request.content_type}
        chunk_bytes = {Transport.CHUNKED: _CHUNK_BYTES, Transport.CUT_IN_CHUNK: len(request.body)}
        return self._target.frame(
            request.body, headers, method=request.method, chunk_bytes=chunk_bytes.get(request.transport)
        )

    async def _drop_connection(self, request: CallbackRequest) -> ReceivedResponse:
        began_s = perf_counter()
        head, body, *_ = self._frame(request)
        cut = head[: len(head) // 2] if request.transport is Transport.CUT_IN_HEAD else head + body[: len(body) // 2]
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self.timeout_s):
                connection = await HttpConnection.connect(self._target)
                connection.write(cut)
                await connection.close()
        return _no_response(NoResponse.NOT_AWAITED, began_s)


def _no_response(reason: NoResponse, since_s: float) -> ReceivedResponse:
    return ReceivedResponse(seconds=perf_counter() - since_s, no_response=reason)
