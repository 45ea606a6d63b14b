"""Classify an endpoint's response: was the delivery accepted? Pure."""

import json
from http import HTTPStatus
from typing import Any, NamedTuple

from answerback.domain.endpoints import EndpointConfig, PayloadFormat
from answerback.domain.masking import mask_urls
from answerback.domain.success_rule import SuccessKind, SuccessRule, parse_success_rule
from answerback.errors import InvalidResponse
from answerback.tencent.response import decode_response

_SUCCESS = range(200, 300)
_REDIRECT = range(300, 400)
_MAX_ERRMSG_CHARS = 300
_MAX_SHOWN_CHARS = 100
_OF_FORMAT = {PayloadFormat.TENCENT: SuccessKind.CONTRACT, PayloadFormat.STANDARD: SuccessKind.STATUS}


class ResponseResult(NamedTuple):
    """`error` is None if the delivery was accepted; `gone`: the endpoint wants no more of them."""

    error: str | None
    gone: bool = False


def classify_response(
    config: EndpointConfig, status: int, body: bytes, location: str | None = None, charset: str | None = None
) -> ResponseResult:
    """Classify a response by the rule of its endpoint, or that of its format; `charset` is that of its Content-Type."""
    if status in _REDIRECT:
        to = f" to {_redirect_host(location)}" if location else ""
        return ResponseResult(
            f"answered {_describe_status(status)}{to}: redirects are not followed, give the endpoint the URL it leads to"
        )
    rule = parse_success_rule(config.success or _OF_FORMAT[config.format])
    gone = status == HTTPStatus.GONE and config.format is PayloadFormat.STANDARD
    if rule.kind is SuccessKind.CONTRACT:
        return ResponseResult(_contract_error(status, body, charset), gone)
    if status not in _SUCCESS:
        return ResponseResult(f"answered {_describe_status(status)}", gone)
    return ResponseResult(_rule_error(rule, status, body, charset))


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


def _rule_error(rule: SuccessRule, status: int, body: bytes, charset: str | None) -> str | None:
    """What a 2xx response lacks; both sides are shortened."""
    if rule.kind is SuccessKind.STATUS:
        return None
    text = _decode(body, charset)
    if rule.kind is SuccessKind.TEXT:
        if rule.expected in text:
            return None
        return f"answered {status}, expected the text {_shorten(rule.expected)}, got {_shorten(text) or 'nothing'}"
    found = _spell_field(text, rule.path)
    if found == rule.expected:
        return None
    wanted = f"{_shorten('.'.join(rule.path))} = {_shorten(rule.expected)}"
    return f"answered {status}, expected {wanted}, got {'no such field' if found is None else _shorten(found)}"


def _decode(body: bytes, charset: str | None) -> str:
    try:
        return body.decode(charset or "utf-8", "replace").removeprefix("\ufeff")
    except LookupError:  # no such charset
        return body.decode("utf-8", "replace").removeprefix("\ufeff")


def _spell_field(text: str, path: tuple[str, ...]) -> str | None:
    """The value at `path` of a JSON text, a string without its quotes; None where there is none, or no JSON."""
    try:
        value: Any = json.loads(text, strict=False)
        for name in path:
            value = value[int(name)] if isinstance(value, list) else value[name]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}…"


def _describe_status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
