"""Send requests: `SyncSender` and `AsyncSender` differ in how they wait, and in nothing else."""

import asyncio
import contextlib
import ssl
import time
from importlib.metadata import version
from typing import Any, TypeVar

import httpx2
import msgspec
from pydantic import ValidationError

from answerback.client.bodies import BoundedAnswer
from answerback.client.errors import ConnectionFailed, UnexpectedResponse, error_of
from answerback.client.requests import GatewayRequest
from answerback.client.retries import Attempts
from answerback.domain.arguments import check_http_url, require_number
from answerback.errors import ConfigError, describe_os_error

T = TypeVar("T")
SendOutcome = BoundedAnswer | httpx2.RequestError

_LAG_HEADER = "Answerback-Recorder-Lag"
_TLS_REASONS = dict.fromkeys(("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"), "it does not speak TLS")
_NOTHING_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a gateway is, and how to talk to it. Raises ConfigError."""

    url: str
    key: str
    timeout_s: float = 30.0
    retries: int = 3
    proxy: str | None = None
    tls: ssl.SSLContext | None = None
    masked: bool = False

    def __post_init__(self) -> None:
        try:
            parts = check_http_url(self.url, "http://host or https://host, such as http://127.0.0.1:8000")
        except ValueError as error:
            raise ConfigError(f"url: {error}") from error
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ConfigError("url: expected no user, query or fragment: the key is sent by itself")
        if parts.path.rstrip("/").endswith("/v1"):
            raise ConfigError("url: expected that of the gateway, without /v1")
        if not self.key or not self.key.isascii() or not self.key.isprintable() or " " in self.key:
            raise ConfigError(
                "key: expected an API key, ab_ and letters and digits; `answerback keys create` makes one"
            )
        require_number("timeout_s", self.timeout_s)
        require_number("retries", self.retries, or_zero=True)
        if not isinstance(self.tls, ssl.SSLContext | None):
            raise ConfigError("tls: expected what ssl.create_default_context(cafile=…) returns")
        try:
            httpx2.Proxy(self.proxy or "http://none")
        except ValueError as error:
            raise ConfigError("proxy: expected http://host:port, https:// or socks5://") from error

    def __repr__(self) -> str:
        return f"ConnectionSettings({self.url})"

    @property
    def options(self) -> dict[str, Any]:
        """Of httpx2. The environment has no say: neither a proxy nor a .netrc gets to see the key."""
        is_plain = self.url.lower().startswith("http://")  # no certificates are loaded that nothing is compared with
        return {
            "headers": {
                "Authorization": f"Bearer {self.key}",
                "User-Agent": f"answerback/{version('answerback')}",
                "Accept-Encoding": "identity",  # else a small answer may be a large one
            },
            "proxy": self.proxy,
            "verify": self.tls or not (is_plain and self.proxy is None),
            "trust_env": False,
        }


class _BaseSender:
    """What both senders share: everything but waiting."""

    def __init__(self, connection: ConnectionSettings) -> None:
        self._connection = connection
        self._base = connection.url.rstrip("/")
        self.recorder_lag_s = 0.0

    def _attempts(self, request: GatewayRequest[Any]) -> Attempts:
        return Attempts(request, retries=self._connection.retries, timeout_s=self._connection.timeout_s)

    def _arguments(self, request: GatewayRequest[Any], attempts: Attempts, *, whole: bool) -> dict[str, Any]:
        """Of one attempt, for httpx2. A stream may go on for long, and is only never silent for so long."""
        if self._connection.masked:
            request = msgspec.structs.replace(request, query={**request.query, "masked": "true"})
        return {
            "method": request.method,
            "url": self._base + request.target,
            "content": request.body,
            "headers": {} if request.body is None else {"Content-Type": request.content_type},
            "timeout": attempts.left_s if whole else max(self._connection.timeout_s, request.least_timeout_s),
        }

    def _judge(self, attempts: Attempts, outcome: SendOutcome) -> BoundedAnswer | float:
        """The answer, if that is what the request ends with, or the seconds until the next attempt. Raises ApiError."""
        if isinstance(outcome, httpx2.RequestError):
            was_sent = not isinstance(outcome, _NOTHING_SENT)
            if (delay_s := attempts.delay_after_break(was_sent=was_sent)) is None:
                raise ConnectionFailed(f"no gateway answers at {self._base}: {describe(outcome)}") from outcome
            return delay_s
        response, body = outcome
        if response.request.method == "GET":
            with contextlib.suppress(ValueError):  # then it is not the gateway's
                self.recorder_lag_s = float(response.headers.get(_LAG_HEADER, 0.0))
        if response.is_success and outcome.is_compressed:
            raise UnexpectedResponse("the answer is compressed, which was not asked for", status=response.status_code)
        if response.is_success or attempts.is_done(response.status_code):
            return outcome
        failure = error_of(response.status_code, response.headers, body, key=self._connection.key)
        if (delay_s := attempts.delay_after_status(response.status_code, failure.retry_after_s)) is None:
            raise failure
        return delay_s


class SyncSender(_BaseSender):
    """Sends from a thread, and may be shared by many."""

    def __init__(self, connection: ConnectionSettings) -> None:
        super().__init__(connection)
        self._http = httpx2.Client(**connection.options)

    def close(self) -> None:
        self._http.close()

    def send(self, request: GatewayRequest[T]) -> T:
        """Send a request, and read the answer. Raises ApiError."""
        return parse_answer(request, self._send(request, whole=True))

    def open(self, request: GatewayRequest[Any]) -> httpx2.Response:
        """Send a request; its response is to be read and closed. Raises ApiError."""
        return self._send(request, whole=False).response

    def _send(self, request: GatewayRequest[Any], *, whole: bool) -> BoundedAnswer:
        attempts = self._attempts(request)
        while True:
            verdict = self._judge(attempts, self._attempt(request, attempts, whole=whole))
            if isinstance(verdict, BoundedAnswer):
                return verdict
            time.sleep(verdict)

    def _attempt(self, request: GatewayRequest[Any], attempts: Attempts, *, whole: bool) -> SendOutcome:
        built = self._http.build_request(**self._arguments(request, attempts, whole=whole))
        try:
            answer = BoundedAnswer(self._http.send(built, stream=True), bytearray())
            if whole or not answer.can_be_streamed:
                with contextlib.closing(answer.response):
                    for chunk in answer.response.iter_raw():
                        if not answer.take(chunk, is_late=attempts.is_late):
                            break
        except httpx2.RequestError as error:
            return error
        return answer


class AsyncSender(_BaseSender):
    """Sends from an event loop of asyncio."""

    def __init__(self, connection: ConnectionSettings) -> None:
        super().__init__(connection)
        self._http = httpx2.AsyncClient(**connection.options)

    async def close(self) -> None:
        await self._http.aclose()

    async def send(self, request: GatewayRequest[T]) -> T:
        """Send a request, and read the answer. Raises ApiError."""
        return parse_answer(request, await self._send(request, whole=True))

    async def open(self, request: GatewayRequest[Any]) -> httpx2.Response:
        """Send a request; its response is to be read and closed. Raises ApiError."""
        return (await self._send(request, whole=False)).response

    async def _send(self, request: GatewayRequest[Any], *, whole: bool) -> BoundedAnswer:
        attempts = self._attempts(request)
        while True:
            verdict = self._judge(attempts, await self._attempt(request, attempts, whole=whole))
            if isinstance(verdict, BoundedAnswer):
                return verdict
            await asyncio.sleep(verdict)

    async def _attempt(self, request: GatewayRequest[Any], attempts: Attempts, *, whole: bool) -> SendOutcome:
        built = self._http.build_request(**self._arguments(request, attempts, whole=whole))
        try:
            answer = BoundedAnswer(await self._http.send(built, stream=True), bytearray())
            if whole or not answer.can_be_streamed:
                async with (
                    contextlib.aclosing(answer.response),
                    contextlib.aclosing(answer.response.aiter_raw()) as chunks,
                ):
                    async for chunk in chunks:
                        if not answer.take(chunk, is_late=attempts.is_late):
                            break
        except httpx2.RequestError as error:
            return error
        return answer


def parse_answer(request: GatewayRequest[T], answer: BoundedAnswer) -> T:
    """The answer as a T. Raises UnexpectedResponse, which does not repeat a value: it may be a phone number."""
    try:
        return request.parse(bytes(answer.body))
    except ValidationError as error:
        place = ".".join(map(str, error.errors(include_input=False)[0]["loc"])) or "the body"
    detail = f"{request.method} {request.template}: {place} is not what this version of the client expects"
    raise UnexpectedResponse(detail, status=answer.response.status_code)


def describe(error: httpx2.RequestError) -> str:
    """Why there is no answer: in the system's words, if it was the system."""
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return _TLS_REASONS.get(cause.reason, cause.reason or str(cause))
        if isinstance(cause, OSError) and cause.errno:
            return describe_os_error(cause)
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
