"""Pure: batches of bodies as messages of the stream, and back.

A message is one byte, the version, and MessagePack: [id, published_us, [[channel, raw, received_us], ...]]. Within a
version fields may be added at the end of each array; a reader that does not know them skips them.
"""

import os
from collections.abc import Iterator, Sequence

import msgspec

from answerback.domain.models import RawCallback
from answerback.ledger.types import to_us
from answerback.ledger.write.consumed_batches import BatchItem, StreamBatch

VERSION = 1
ID_BYTES = 16

_HEADER = bytes([VERSION])
_FRAME_BYTES = 64  # more than version, id, time and the arrays' heads take
_PROBE_BYTES = 32 * 1024
_ITEM_BYTES = 24  # more than an item takes besides the channel's name and the body

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StreamBatch).decode


class BatchDecodeError(ValueError):
    """A message that this program cannot decode: another version, or not a batch."""


def encode(batch: StreamBatch) -> bytes:
    """The message that carries `batch`."""
    return _HEADER + _encode(batch)


def encode_probe() -> bytes:
    """Encode a message without bodies, but of usual size: if it is stored, others would be."""
    return _HEADER + _encode([os.urandom(ID_BYTES), 0, [], bytes(_PROBE_BYTES)])


def decode(message: bytes) -> StreamBatch:
    """Decode the batch in a message. Raises BatchDecodeError."""
    if message[:1] != _HEADER:
        version = message[0] if message else "none"
        raise BatchDecodeError(f"its version is {version}, this program reads {VERSION}: run a newer recorder")
    try:
        batch = _decode(message[1:])
    except (msgspec.MsgspecError, ValueError) as error:
        raise BatchDecodeError(f"it is no batch: {error}") from error
    if len(batch.id) != ID_BYTES:
        raise BatchDecodeError(f"it is no batch: its id has {len(batch.id)} bytes, not {ID_BYTES}")
    return batch


def split_batches(raw_callbacks: Sequence[RawCallback], published_us: int, max_message_bytes: int) -> list[bytes]:
    """The messages that carry `raw_callbacks`, in order, each of `max_message_bytes` bytes at most.

    Raises ValueError where one body alone does not fit.
    """
    parts = _parts(
        [BatchItem(each.channel, each.raw, to_us(each.received_at)) for each in raw_callbacks], max_message_bytes
    )
    return [encode(StreamBatch(os.urandom(ID_BYTES), published_us, part)) for part in parts]


def _parts(items: Sequence[BatchItem], max_message_bytes: int) -> Iterator[list[BatchItem]]:
    part: list[BatchItem] = []
    size = _FRAME_BYTES
    for item in items:
        more = _ITEM_BYTES + len(item.channel.encode()) + len(item.raw)
        if _FRAME_BYTES + more > max_message_bytes:
            raise ValueError(f"a body of {len(item.raw)} bytes does not fit into a message of {max_message_bytes}")
        if part and size + more > max_message_bytes:
            yield part
            part, size = [], _FRAME_BYTES
        part.append(item)
        size += more
    if part:
        yield part
