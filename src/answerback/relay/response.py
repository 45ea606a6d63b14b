"""Classify an endpoint's response: was the delivery accepted? Pure."""

from http import HTTPStatus
from typing import NamedTuple

from answerback.domain.endpoints import PayloadFormat
from answerback.domain.masking import mask_urls
from answerback.errors import InvalidResponse
from answerback.tencent.response import decode_response

_SUCCESS = range(200, 300)
_REDIRECT = range(300, 400)
_MAX_ERRMSG_CHARS = 300


class ResponseResult(NamedTuple):
    """`error` is None if the delivery was accepted; `gone`: the endpoint wants no more of them."""

    error: str | None
    gone: bool = False


def classify_response(
    payload_format: PayloadFormat, status: int, body: bytes, location: str | None = None, charset: str | None = None
) -> ResponseResult:
    """Classify a response by the payload format of its endpoint; `charset` is that of its Content-Type."""
    if status in _REDIRECT:
        to = f" to {_redirect_host(location)}" if location else ""
        return ResponseResult(
            f"answered {_describe_status(status)}{to}: redirects are not followed, give the endpoint the URL it leads to"
        )
    if payload_format is PayloadFormat.STANDARD:
        if status in _SUCCESS:
            return ResponseResult(None)
        return ResponseResult(f"answered {_describe_status(status)}", gone=status == HTTPStatus.GONE)
    return ResponseResult(_contract_error(status, body, charset))


def _redirect_host(location: str) -> str:
    """Return the host of a redirect; its path and query may hold secrets."""
    host = mask_urls(location[:_MAX_ERRMSG_CHARS])
    return host if "://" in host else "another path"


def _contract_error(status: int, answer: bytes, charset: str | None) -> str | None:
    try:
        response = decode_response(answer, charset)
    except InvalidResponse as error:
        return f"answered {_describe_status(status)}" if status not in _SUCCESS else f"answered {status}, but {error}"
    summary = f"result {response.result}" + (f": {response.errmsg[:_MAX_ERRMSG_CHARS]}" if response.errmsg else "")
    if status not in _SUCCESS:
        return f"answered {_describe_status(status)} with {summary}"
    return None if response.result == 0 else f"answered {summary}"


def _describe_status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
