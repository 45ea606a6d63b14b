"""Everything that a request of the client can end with."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import time

import msgspec

from answerback import errors
from answerback.domain.phone_numbers import mask_phone_like
from answerback.errors import AnswerbackError

_MAX_CHARACTERS = 1000


class ApiError(AnswerbackError):
    """A request failed; the message is `detail`, without phone numbers and without the key.

    `status` and `title` are HTTP's, None and a name of ours if nothing answered. `field` names the field at fault.
    """

    title = "Error"

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        field: str | None = None,
        channels: tuple[str, ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        self.detail = mask_phone_like(_shorten(detail))
        self.status = status
        self.field = field if field is None else _shorten(field)
        self.channels = channels
        self.retry_after_s = retry_after_s
        if status is not None:
            self.title = _phrase(status)
        super().__init__(self.detail)


class Unauthorized(ApiError):
    """The key is missing, wrong or revoked."""


class Forbidden(ApiError):
    """The key lacks the role, or the right to full numbers, that `detail` names."""


class NotFound(ApiError, errors.ResourceNotFound):
    """Nothing has that id."""


class Conflict(ApiError):
    """The request conflicts with the current state."""


class Ambiguous(Conflict):
    """Several channels have the callid: name one of `channels`."""


class Invalid(ApiError):
    """A value of the request is wrong; `field` names it, if it is one field."""


class RateLimited(ApiError):
    """Too many wrong keys: try again in `retry_after_s` seconds."""


class Unavailable(ApiError):
    """The gateway, or what it stores in, is away; after a change it is not known whether it was made."""


class ConnectionFailed(ApiError):
    """No gateway answered, or the connection broke; after a change it is not known whether it was made."""

    title = "Connection failed"


class UnexpectedResponse(ApiError):
    """What came is not an answer of a gateway that this version of the client knows."""

    title = "Unexpected response"


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: Invalid,
    422: Invalid,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


class _AnyProblem(msgspec.Struct):
    """A problem of /v1, or the vendor's response to a callback, of which `errmsg` names the field first."""

    detail: str = ""
    field: str | None = None
    channels: tuple[str, ...] = ()
    errmsg: str = ""


def error_of(status: int, headers: Mapping[str, str], body: bytes | bytearray, *, key: str) -> ApiError:
    """The error that an answer means; the key is left out, should a proxy have repeated it."""
    try:
        problem = msgspec.json.decode(body, type=_AnyProblem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        problem = _AnyProblem()
    detail = problem.detail or problem.errmsg or f"the gateway answered {status} {_phrase(status)}".rstrip()
    field, named, _ = problem.errmsg.partition(": ")
    kind = Ambiguous if problem.channels else _BY_STATUS.get(status, ApiError)
    return kind(
        detail.replace(key, "…"),
        status=status,
        field=problem.field or (field if named and " " not in field else None),
        channels=problem.channels,
        retry_after_s=_retry_after_s(headers.get("Retry-After")),
    )


def _retry_after_s(text: str | None) -> float | None:
    """Seconds, or the time of a date, as proxies send it; None: it says nothing that is understood."""
    if text is None:
        return None
    try:
        return max(0.0, float(int(text)) if text.isdigit() else parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, OverflowError):  # of a number or a date beyond all bounds
        return None


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
