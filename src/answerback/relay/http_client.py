"""The HTTP side of an attempt. Importing this imports aiohttp, so the sender does it late."""

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

from answerback.certificates import Certificates
from answerback.domain.endpoint_headers import HIDDEN
from answerback.domain.endpoints import DIRECT, AttemptResult, Endpoint, HttpExchange, PayloadFormat
from answerback.domain.masking import mask_path, mask_urls, mask_values
from answerback.errors import describe_os_error
from answerback.relay.egress_policy import AddressDenied, EgressPolicy, is_ip_address
from answerback.relay.response import classify_response
from answerback.relay.sender import RESPONSE_EXCERPT_BYTES, LeaseExpired
from answerback.relay.signing import sign

_MAX_RESPONSE_BYTES = 65_536
_KEEP_ALIVE_S = 30.0
_MAX_RETRY_AFTER_S = 24 * 3600.0
_US = 1_000_000
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})

log = structlog.get_logger("answerback.relay")


class HttpClient:
    """POST deliveries over pooled connections. Create and `close` it inside the loop."""

    def __init__(
        self, egress_policy: EgressPolicy, certificates: Certificates, may_send: Callable[[], bool], proxy: str | None
    ) -> None:
        self._certificates = certificates
        self._may_send = may_send
        self._proxy = proxy
        self._policies = {True: EgressPolicy(trusted=True), False: egress_policy}
        self._sessions = {
            trusted: aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    keepalive_timeout=_KEEP_ALIVE_S,
                    socket_factory=self._policies[trusted].open_socket,
                ),
                request_class=self._request_class(),
                auto_decompress=False,  # no response is worth a decompression bomb
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

        class LeaseCheckedRequest(aiohttp.ClientRequest):
            """A request that is not sent after the lease has expired."""

            async def send(self, conn: Connection) -> aiohttp.ClientResponse:
                if not may_send():
                    raise LeaseExpired
                return await super().send(conn)

        return LeaseCheckedRequest

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()

    async def send(
        self,
        endpoint: Endpoint,
        message_id: str,
        body: bytes,
        *,
        retry_closed_connection: bool = False,
        traceparent: str | None = None,
        exchange: HttpExchange | None = None,
    ) -> AttemptResult:
        """See `WebhookSender.send`."""
        started_us, began_s = time.time_ns() // 1000, time.perf_counter()
        try:
            status, answer, headers, charset = await self._post(endpoint, message_id, body, traceparent, exchange)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if retry_closed_connection and not isinstance(error, aiohttp.ClientConnectorError):
                return await self.send(endpoint, message_id, body, traceparent=traceparent)
            return _failed_result(started_us, began_s, _sanitize(_describe_error(error, endpoint), endpoint))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return _failed_result(started_us, began_s, _sanitize(_describe_error(error, endpoint), endpoint))
        except LeaseExpired:
            raise
        except Exception as error:  # a bug of ours must not stop deliveries to an endpoint
            log.exception("attempt_failed", endpoint=endpoint.name)
            return _failed_result(started_us, began_s, f"an internal error: {type(error).__name__}, see the log")
        location, shown = headers.get("Location"), _mask_secrets(answer, endpoint)
        result = classify_response(endpoint.config, status, answer, location, charset)
        if result.error is not None and shown != answer:  # its words are cut, so they are taken from what is masked
            words = classify_response(endpoint.config, status, shown, location, charset).error
            result = result._replace(error=words or result.error)
        if exchange is not None:
            exchange.response_body = shown
        return AttemptResult(
            started_us=started_us,
            duration_us=_elapsed_us(began_s),
            http_status=status,
            response_body=shown[:RESPONSE_EXCERPT_BYTES],
            error=None if result.error is None else _sanitize(result.error, endpoint),
            gone=result.gone,
            retry_after_s=None if result.error is None else _retry_after_s(headers),
        )

    async def _post(
        self, endpoint: Endpoint, message_id: str, body: bytes, traceparent: str | None, exchange: HttpExchange | None
    ) -> tuple[int, bytes, Mapping[str, str], str | None]:
        config = endpoint.config
        headers = self._headers | {"webhook-id": message_id}
        if config.headers:
            own = {name.lower() for name in config.headers}
            headers = {name: value for name, value in headers.items() if name.lower() not in own} | config.headers
        if traceparent is not None:
            headers["traceparent"] = traceparent
        if config.format is PayloadFormat.STANDARD:
            headers |= sign(endpoint, message_id, datetime.now(UTC), body)
        if exchange is not None:
            exchange.request_headers = _show_headers(headers, endpoint)
        began_s = time.perf_counter()
        session, proxy = self._route(endpoint)
        async with session.post(
            _url(config.url),
            data=body,
            headers=headers,
            allow_redirects=False,
            proxy=proxy,
            timeout=_timeout(config.timeout_s),
            ssl=self._certificates.ssl_context_for(config.certificate),
        ) as response:
            if exchange is not None:
                exchange.answered_us = _elapsed_us(began_s)
                exchange.request_headers = _show_headers(response.request_info.headers, endpoint)
                exchange.response_headers = _show_headers(response.headers, endpoint)
            answer = await response.content.read(_MAX_RESPONSE_BYTES)
            while len(answer) < _MAX_RESPONSE_BYTES and not response.content.at_eof():
                answer += await response.content.read(_MAX_RESPONSE_BYTES - len(answer))
            return response.status, answer, response.headers, response.charset

    def _route(self, endpoint: Endpoint) -> tuple[aiohttp.ClientSession, str | None]:
        """The session for the next hop, and the proxy if it is one. Raises AddressDenied.

        A proxy looks names up itself: behind it only a URL that has the address in it can be checked.
        """
        proxy = endpoint.config.proxy or self._proxy
        if proxy is None or proxy == DIRECT:
            return self._sessions[endpoint.from_config], None
        address = _url(endpoint.config.url).host or ""
        if is_ip_address(address) and (problem := self._policies[endpoint.from_config].denial_reason(address)):
            raise AddressDenied(problem)
        return self._sessions[endpoint.from_config or endpoint.config.proxy is None], proxy


@lru_cache(maxsize=16_384)
def _url(url: str) -> yarl.URL:
    return yarl.URL(url)


@lru_cache(maxsize=256)
def _timeout(timeout_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=timeout_s)


def _sanitize(words: str, endpoint: Endpoint) -> str:
    """Make a text fit for every reader: valid UTF-8, and no URL beyond its host."""
    return _mask(mask_urls(words), endpoint).encode("utf-8", "replace").decode()


def _mask_secrets(answer: bytes, endpoint: Endpoint) -> bytes:
    """Mask what a response repeats of the request's path, query and own headers; before it is cut, which may cut a secret."""
    return _mask(answer.decode("utf-8", "surrogateescape"), endpoint).encode("utf-8", "surrogateescape")


def _show_headers(headers: Mapping[str, str], endpoint: Endpoint) -> list[tuple[str, str]]:
    """Headers for people: without the values of the endpoint's own, of cookies and of credentials, wherever they stand."""
    hidden = _CREDENTIALS.union(name.lower() for name in endpoint.config.headers)
    return [(name, HIDDEN if name.lower() in hidden else _sanitize(value, endpoint)) for name, value in headers.items()]


def _mask(text: str, endpoint: Endpoint) -> str:
    config = endpoint.config
    return mask_path(mask_values(text, config.headers.values()) if config.headers else text, config.url)


def _failed_result(started_us: int, began_s: float, words: str) -> AttemptResult:
    return AttemptResult(started_us=started_us, duration_us=_elapsed_us(began_s), error=words)


def _elapsed_us(began_s: float) -> int:
    return round((time.perf_counter() - began_s) * _US)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Parse Retry-After: seconds, or a date."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    try:
        wait_s = float(value) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(wait_s, 0.0), _MAX_RETRY_AFTER_S)


_ERROR_TEXTS: list[tuple[type[Exception], Callable[[Any, Endpoint], str]]] = [
    (TimeoutError, lambda _, endpoint: f"no answer within {endpoint.config.timeout_s:g} s"),
    (AddressDenied, lambda error, _: f"no connection: {error}"),
    (aiohttp.ClientHttpProxyError, lambda error, _: f"the proxy answered {error.status} {error.message}"),
    (
        aiohttp.ClientProxyConnectionError,
        lambda error, _: f"no connection to the proxy: {describe_os_error(error.os_error)}",
    ),
    (aiohttp.ClientConnectorDNSError, lambda error, _: f"the name {error.host} was not found"),
    (
        aiohttp.ClientConnectorCertificateError,
        lambda error, _: f"the certificate is not trusted: {error.certificate_error}",
    ),
    (aiohttp.ClientConnectorSSLError, lambda error, _: f"no secure connection: {error.os_error}"),
    (aiohttp.ClientConnectorError, lambda error, _: f"no connection: {describe_os_error(error.os_error)}"),
    (aiohttp.ServerDisconnectedError, lambda *_: "the connection was closed before there was an answer"),
    (aiohttp.ClientPayloadError, lambda *_: "the answer was cut off half-way"),
    (aiohttp.ClientResponseError, lambda error, _: f"the answer is not HTTP: {error.message}"),
]
"""What went wrong, for whoever has to fix it: the first type that matches."""


def _describe_error(error: Exception, endpoint: Endpoint) -> str:
    for error_type, describe in _ERROR_TEXTS:
        if isinstance(error, error_type):
            return describe(error, endpoint)
    return f"no answer: {str(error) or type(error).__name__}"
