"""One attempt as HTTP. Importing this imports aiohttp: see `courier`."""

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import aiohttp
import structlog
import yarl
from aiohttp.connector import Connection

from answerback.domain.masking import mask_path, mask_urls
from answerback.domain.models import Endpoint, Format
from answerback.relay.certificates import Certificates
from answerback.relay.egress_policy import Guard
from answerback.relay.response import judge
from answerback.relay.sender import KEPT_BYTES, Outcome, TooLate
from answerback.relay.signing import signature

_READ_BYTES = 65_536
_KEEP_ALIVE_S = 30.0
_LONGEST_RETRY_AFTER_S = 24 * 3600.0
_US = 1_000_000

log = structlog.get_logger("answerback.relay")


class HttpClient:
    """POSTs deliveries over connections that it keeps open. Make and `close` it inside the loop."""

    def __init__(self, guard: Guard, certificates: Certificates, may_send: Callable[[], bool]) -> None:
        self._certificates = certificates
        self._may_send = may_send
        self._sessions = {
            trusted: aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    keepalive_timeout=_KEEP_ALIVE_S,
                    socket_factory=(Guard(trusted=True) if trusted else guard).open_socket,
                ),
                request_class=self._request_class(),
                auto_decompress=False,  # nobody's answer is worth a decompression bomb
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            for trusted in (True, False)
        }
        self._headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"answerback/{version('answerback')}",
        }

    def _request_class(self) -> type[aiohttp.ClientRequest]:
        may_send = self._may_send

        class Request(aiohttp.ClientRequest):
            """A request that is not sent too late."""

            async def send(self, conn: Connection) -> aiohttp.ClientResponse:
                if not may_send():
                    raise TooLate
                return await super().send(conn)

        return Request

    async def close(self) -> None:
        """Close the connections."""
        for session in self._sessions.values():
            await session.close()

    async def attempt(
        self,
        endpoint: Endpoint,
        message_id: str,
        body: bytes,
        *,
        again: bool = False,
        traceparent: str | None = None,
    ) -> Outcome:
        """Do what `Courier.attempt` says."""
        began_us, began_s = time.time_ns() // 1000, time.perf_counter()
        try:
            status, answer, headers, charset = await self._post(endpoint, message_id, body, traceparent)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if again and not isinstance(error, aiohttp.ClientConnectorError):
                return await self.attempt(endpoint, message_id, body, traceparent=traceparent)
            return _failed(began_us, began_s, _text(_words(error, endpoint), endpoint))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return _failed(began_us, began_s, _text(_words(error, endpoint), endpoint))
        except TooLate:
            raise
        except Exception as error:  # a fault of ours must not end the work for an endpoint
            log.exception("attempt_failed", endpoint=endpoint.name)
            return _failed(began_us, began_s, f"a fault in the program: {type(error).__name__}, see the log")
        judged = judge(endpoint.definition.format, status, answer, headers.get("Location"), charset)
        return Outcome(
            began_us=began_us,
            duration_us=_since_us(began_s),
            status=status,
            answer=_without_path(answer[:KEPT_BYTES], endpoint),
            error=None if judged.error is None else _text(judged.error, endpoint),
            gone=judged.gone,
            retry_after_s=None if judged.error is None else _retry_after_s(headers),
        )

    async def _post(
        self, endpoint: Endpoint, message_id: str, body: bytes, traceparent: str | None
    ) -> tuple[int, bytes, Mapping[str, str], str | None]:
        definition = endpoint.definition
        headers = self._headers | {"webhook-id": message_id}
        if traceparent is not None:
            headers["traceparent"] = traceparent
        if definition.format is Format.STANDARD:
            headers |= signature(endpoint, message_id, datetime.now(UTC), body)
        async with self._sessions[endpoint.from_config].post(
            _url(definition.url),
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=_timeout(definition.timeout_s),
            ssl=self._certificates.context(definition.certificate),
        ) as response:
            answer = await response.content.read(_READ_BYTES)
            while len(answer) < _READ_BYTES and not response.content.at_eof():
                answer += await response.content.read(_READ_BYTES - len(answer))
            return response.status, answer, response.headers, response.charset


@lru_cache(maxsize=16_384)
def _url(url: str) -> yarl.URL:
    return yarl.URL(url)


@lru_cache(maxsize=256)
def _timeout(timeout_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=timeout_s)


def _text(words: str, endpoint: Endpoint) -> str:
    """Words that everybody may read: without bytes that are no text, and without what follows the host of a URL."""
    return mask_path(mask_urls(words), endpoint.definition.url).encode("utf-8", "replace").decode()


def _without_path(answer: bytes, endpoint: Endpoint) -> bytes:
    """What was answered, without the path and the query that it was asked by: many answers repeat them."""
    return mask_path(answer.decode("utf-8", "surrogateescape"), endpoint.definition.url).encode(
        "utf-8", "surrogateescape"
    )


def _failed(began_us: int, began_s: float, words: str) -> Outcome:
    return Outcome(began_us=began_us, duration_us=_since_us(began_s), error=words)


def _since_us(began_s: float) -> int:
    return round((time.perf_counter() - began_s) * _US)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long the answer asks us to wait: seconds, or a date."""
    told = headers.get("Retry-After")
    if told is None:
        return None
    try:
        wait_s = float(told) if told.strip().isdigit() else parsedate_to_datetime(told).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(wait_s, 0.0), _LONGEST_RETRY_AFTER_S)


_WORDS: list[tuple[type[Exception], Callable[[Any, Endpoint], str]]] = [
    (TimeoutError, lambda _, endpoint: f"no answer within {endpoint.definition.timeout_s:g} s"),
    (aiohttp.ClientConnectorDNSError, lambda error, _: f"the name {error.host} was not found"),
    (
        aiohttp.ClientConnectorCertificateError,
        lambda error, _: f"the certificate is not trusted: {error.certificate_error}",
    ),
    (aiohttp.ClientConnectorSSLError, lambda error, _: f"no secure connection: {error.os_error}"),
    (aiohttp.ClientConnectorError, lambda error, _: f"no connection: {_reason(error.os_error)}"),
    (aiohttp.ServerDisconnectedError, lambda *_: "the connection was closed before there was an answer"),
    (aiohttp.ClientPayloadError, lambda *_: "the answer was cut off half-way"),
    (aiohttp.ClientResponseError, lambda error, _: f"the answer is not HTTP: {error.message}"),
]
"""What went wrong, for somebody who has to do something about it: the first sort that fits."""


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


def _words(error: Exception, endpoint: Endpoint) -> str:
    for sort, words in _WORDS:
        if isinstance(error, sort):
            return words(error, endpoint)
    return f"no answer: {str(error) or type(error).__name__}"
