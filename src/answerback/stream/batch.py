"""Pure: batches of bodies as messages of the stream, and back.

A message is one byte, the version, and MessagePack: [id, published_us, [[channel, raw, received_us], ...]]. Within a
version fields may be added at the end of each array; who does not know them passes them over.
"""

import os
from collections.abc import Iterator, Sequence

import msgspec

from answerback.domain.models import Arrival
from answerback.ledger.types import to_us
from answerback.ledger.write.consumed_batches import Batch, Item

VERSION = 1
ID_BYTES = 16

_HEAD = bytes([VERSION])
_FRAME_BYTES = 64  # more than version, id, time and the arrays' heads take
_NOTHING_BYTES = 32 * 1024
_ITEM_BYTES = 24  # more than an item takes besides the channel's name and the body

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Batch).decode


class Unreadable(ValueError):
    """A message that this program cannot read: of another version, or no batch at all."""


def encode(batch: Batch) -> bytes:
    """The message that carries `batch`."""
    return _HEAD + _encode(batch)


def encode_nothing() -> bytes:
    """A message without any body, but as large as a usual one: to have it stored shows that others would be."""
    return _HEAD + _encode([os.urandom(ID_BYTES), 0, [], bytes(_NOTHING_BYTES)])


def decode(message: bytes) -> Batch:
    """The batch in a message. Raises Unreadable."""
    if message[:1] != _HEAD:
        version = message[0] if message else "none"
        raise Unreadable(f"its version is {version}, this program reads {VERSION}: run a newer recorder")
    try:
        batch = _decode(message[1:])
    except (msgspec.MsgspecError, ValueError) as error:
        raise Unreadable(f"it is no batch: {error}") from error
    if len(batch.id) != ID_BYTES:
        raise Unreadable(f"it is no batch: its id has {len(batch.id)} bytes, not {ID_BYTES}")
    return batch


def split(arrivals: Sequence[Arrival], published_us: int, largest: int) -> list[bytes]:
    """The messages that carry `arrivals`, in order, each of `largest` bytes at most.

    Raises ValueError where one body alone does not fit.
    """
    parts = _parts([Item(each.channel, each.raw, to_us(each.received_at)) for each in arrivals], largest)
    return [encode(Batch(os.urandom(ID_BYTES), published_us, part)) for part in parts]


def _parts(items: Sequence[Item], largest: int) -> Iterator[list[Item]]:
    part: list[Item] = []
    size = _FRAME_BYTES
    for item in items:
        more = _ITEM_BYTES + len(item.channel.encode()) + len(item.raw)
        if _FRAME_BYTES + more > largest:
            raise ValueError(f"a body of {len(item.raw)} bytes does not fit into a message of {largest}")
        if part and size + more > largest:
            yield part
            part, size = [], _FRAME_BYTES
        part.append(item)
        size += more
    if part:
        yield part
