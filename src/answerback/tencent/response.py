"""The response to a callback, both ways: encoded for the cloud, and decoded from receivers.

Source: "Voice Notification Status Callback", response parameters, product 1128/37519.
"""

import codecs
import contextlib
import json
import re
from typing import NamedTuple

import msgspec

from answerback.errors import (
    CallbackRejected,
    InvalidCallbackField,
    InvalidJson,
    InvalidResponse,
    LedgerUnavailable,
    UnknownCallback,
)
from answerback.tencent.codes import ResponseCode

RESPONSE_CODES: dict[type[CallbackRejected], ResponseCode] = {
    InvalidJson: ResponseCode.NOT_JSON,
    InvalidCallbackField: ResponseCode.INVALID_FIELD,
    UnknownCallback: ResponseCode.UNKNOWN_CALLBACK,
}
"""What a sender is answered, by what is wrong with its body."""


class CallbackResponse(msgspec.Struct, frozen=True):
    """`{"result":0,"errmsg":"OK"}`: 0 is success, anything else a failure that `errmsg` explains."""

    result: int
    errmsg: str = ""


class _LenientResponse(msgspec.Struct):
    result: int | str
    errmsg: object = ""


_WHOLE = re.compile(r"-?[0-9]{1,18}")
_lenient = msgspec.json.Decoder(_LenientResponse)
_UNREADABLE = (ValueError, msgspec.MsgspecError)  # the second is the first from msgspec 0.22 on


def encode_response(result: int, errmsg: str) -> bytes:
    """Encode an answer as the contract writes it, compact."""
    return msgspec.json.encode(CallbackResponse(result, errmsg))


def decode_response(body: bytes, charset: str | None = None) -> CallbackResponse:
    """Decode somebody's answer; a numeric string counts as the number, a missing errmsg as "".

    Only `result` decides, so that an errmsg in GBK, in `charset` or in no encoding at all is no obstacle. Raises
    InvalidResponse where the body is empty, not JSON, or has no whole-number `result`.
    """
    if not body.removeprefix(codecs.BOM_UTF8).strip():
        raise InvalidResponse("the response is empty")
    try:
        answer = _decode(body.removeprefix(codecs.BOM_UTF8), charset)
    except (*_UNREADABLE, RecursionError) as error:
        raise InvalidResponse(f"not the contract's answer: {error}") from error
    errmsg = "" if answer.errmsg is None else str(answer.errmsg)
    if isinstance(answer.result, str) and not _WHOLE.fullmatch(answer.result):
        raise InvalidResponse("not the contract's answer: `result` is not a whole number")
    return CallbackResponse(
        int(answer.result), errmsg.encode("utf-8", "replace").decode()
    )  # half a surrogate is no text


def _decode(body: bytes, charset: str | None) -> _LenientResponse:
    """Read the body as UTF-8, or else as the first encoding that makes JSON of it. Raises ValueError."""
    try:
        return _lenient.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        problem = error
    for encoding in filter(None, (charset, "utf-8", "gb18030", "utf-16")):
        with contextlib.suppress(*_UNREADABLE, LookupError):
            return msgspec.convert(json.loads(body.decode(encoding), strict=False), _LenientResponse)
    with contextlib.suppress(*_UNREADABLE):
        return msgspec.convert(json.loads(body.decode("utf-8", "replace"), strict=False), _LenientResponse)
    raise problem


OK_RESPONSE = encode_response(ResponseCode.OK, "OK")

_RETRY_AFTER_S = "1"


class Response(NamedTuple):
    """What is answered to a POST, as docs/answers.md lists it: an HTTP status, the contract's two fields, headers."""

    status: int
    result: int
    errmsg: str
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)

    @property
    def body(self) -> bytes:
        """The contract's JSON."""
        return encode_response(self.result, self.errmsg)


OK = Response(200, ResponseCode.OK, "OK")
UNKNOWN_CHANNEL = Response(404, ResponseCode.UNKNOWN_CHANNEL, "no channel has this callback URL")
WRONG_METHOD = Response(
    405, ResponseCode.WRONG_METHOD, "method not allowed: use POST", (("allow", "POST"), *OK.headers)
)


def too_large(limit_bytes: int) -> Response:
    """The response to a body over the limit."""
    return Response(413, ResponseCode.TOO_LARGE, f"the body is larger than {limit_bytes} bytes")


def rejected(rejection: CallbackRejected) -> Response:
    """The response to a body that is no callback."""
    return Response(400, RESPONSE_CODES[type(rejection)], rejection.errmsg)


def unavailable(error: LedgerUnavailable) -> Response:
    """The response where the callback is not known to be stored."""
    return Response(
        503,
        ResponseCode.UNAVAILABLE,
        f"not known to be stored, try again: {error}",
        (("retry-after", _RETRY_AFTER_S), *OK.headers),
    )
