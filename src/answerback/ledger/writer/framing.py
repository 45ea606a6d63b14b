"""How the gateway and the ledger's writer talk: length-prefixed MessagePack over a socket pair.

A command goes out, its reply comes back, in order. A reply is one byte for the kind of reply, then the result, or what
was wrong.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from answerback.errors import (
    AmbiguousCall,
    AnswerbackError,
    CallbackRejected,
    InvalidCursor,
    LedgerUnavailable,
    PermissionDenied,
    PositionConflict,
    ResourceNotFound,
    StateConflict,
    UnavailableReason,
    public_reason,
)
from answerback.ledger.factory import LedgerConfig

LENGTH_BYTES = 4

_DONE, _FAILED = b"\x00", b"\x01"
_ERRORS: dict[str, Callable[..., AnswerbackError]] = {
    error.__name__: error
    for error in (
        ResourceNotFound,
        PermissionDenied,
        AmbiguousCall,
        StateConflict,
        InvalidCursor,
        CallbackRejected,
        PositionConflict,
    )
}

_encode = msgspec.msgpack.Encoder().encode
_decode_error = msgspec.msgpack.Decoder(tuple[str, list[Any]]).decode

encode_config = msgspec.msgpack.Encoder().encode
decode_config = msgspec.msgpack.Decoder(LedgerConfig).decode


def frame(payload: bytes) -> bytes:
    """`payload` with its length in front."""
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


def encode_result(result: object) -> bytes:
    """The reply to a command that was carried out."""
    return _DONE + _encode(result)


def encode_error(error: AnswerbackError) -> bytes:
    """The reply to a command that was not; an error that has no name on the wire is one of the ledger's."""
    if isinstance(error, AmbiguousCall):
        return _FAILED + _encode((AmbiguousCall.__name__, [error.callid, error.channels]))
    if (name := type(error).__name__) in _ERRORS:
        return _FAILED + _encode((name, [str(error)]))
    if not isinstance(error, LedgerUnavailable):
        error = LedgerUnavailable(public_reason(error), str(error))
    return _FAILED + _encode((LedgerUnavailable.__name__, [error.reason, error.detail]))


def decode_reply(reply: bytes) -> bytes:
    """The encoded result in a reply. Raises the error that it holds."""
    if reply[:1] == _DONE:
        return reply[1:]
    name, arguments = _decode_error(reply[1:])
    if name == LedgerUnavailable.__name__:
        reason, detail = arguments
        raise LedgerUnavailable(UnavailableReason(reason), detail)
    raise _ERRORS[name](*arguments)
