"""Pure: batches as messages of the stream. One that comes by two streams is known by its id."""

import os
from collections.abc import Iterator, Sequence

from answerback.domain.batches import BatchDecodeError, BatchItem, CallbackBatch, decode_batch, encode_batch

ID_BYTES = 16

_FRAME_BYTES = 64  # more than version, id, time and the arrays' heads take
_PROBE_BYTES = 32 * 1024
_ITEM_BYTES = 24  # more than an item takes besides the channel's name and the body


def encode_probe() -> bytes:
    """Encode a message without bodies, but of usual size: if it is stored, others would be."""
    return encode_batch([os.urandom(ID_BYTES), 0, [], bytes(_PROBE_BYTES)])


def decode(message: bytes) -> CallbackBatch:
    """Decode the batch in a message. Raises BatchDecodeError."""
    batch = decode_batch(message)
    if len(batch.id) != ID_BYTES:
        raise BatchDecodeError(f"it is no batch: its id has {len(batch.id)} bytes, not {ID_BYTES}")
    return batch


def split_batches(items: Sequence[BatchItem], published_us: int, max_message_bytes: int) -> dict[bytes, bytes]:
    """The messages that carry `items`, by the ids of their batches, in order, each of `max_message_bytes` bytes at most.

    Raises ValueError where one body alone does not fit.
    """
    batches = [CallbackBatch(os.urandom(ID_BYTES), published_us, part) for part in _parts(items, max_message_bytes)]
    return {batch.id: encode_batch(batch) for batch in batches}


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
