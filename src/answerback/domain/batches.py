"""Batches of bodies as the log keeps them, and back; pure.

A batch is one byte, the version, and MessagePack: [id, appended_us, [[channel, raw, received_us], ...]]. Within a version
fields may be added at the end of each array; a reader that does not know them skips them.
"""

from typing import Annotated

import msgspec

VERSION = 1

_HEADER = bytes([VERSION])

Microseconds = Annotated[int, msgspec.Meta(le=2**63 - 1)]
"""Since 1970."""


class BatchItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The body of one POST as it came in by a channel, and when."""

    channel: str
    raw: bytes
    received_us: Microseconds


class CallbackBatch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Bodies that were appended together. `id` is empty where the log numbers its batches."""

    id: bytes
    appended_us: Microseconds
    items: list[BatchItem]


class BatchDecodeError(ValueError):
    """What this program cannot decode: another version, or not a batch."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(CallbackBatch).decode


def encode_batch(batch: object) -> bytes:
    """The bytes that carry `batch`, a `CallbackBatch` or its fields in order."""
    return _HEADER + _encode(batch)


def decode_batch(payload: bytes) -> CallbackBatch:
    """Decode the bytes of a batch. Raises BatchDecodeError."""
    if payload[:1] != _HEADER:
        version = payload[0] if payload else "none"
        raise BatchDecodeError(f"its version is {version}, this program reads {VERSION}: run a newer recorder")
    try:
        return _decode(payload[1:])
    except (msgspec.MsgspecError, ValueError) as error:
        raise BatchDecodeError(f"it is no batch: {error}") from error
