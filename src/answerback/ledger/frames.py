"""What the gateway and the ledger's writer say to each other: length-prefixed MessagePack over a socket pair.

A batch goes out, its reply comes back, in order. An empty batch asks for a commit of nothing: a probe.
"""

import msgspec

from answerback.ledger.values import Taken
from answerback.model import Received, Rejected

LENGTH_BYTES = 4


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame: which ledger to write, with the arguments of `open_ledger`."""

    data_dir: str
    lock_timeout_s: float
    quarantine_bytes: int
    quarantine_per_minute: int
    allow_unsafe_place: bool


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """A byte per item of the batch, `Taken` by value; or `problem`, and then nothing was stored."""

    taken: bytes = b""
    problem: str | None = None


encode_batch = msgspec.msgpack.Encoder().encode
decode_batch = msgspec.msgpack.Decoder(list[Received | Rejected]).decode
encode_reply = msgspec.msgpack.Encoder().encode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
encode_opening = msgspec.msgpack.Encoder().encode
decode_opening = msgspec.msgpack.Decoder(Opening).decode

TAKEN = {taken.value: taken for taken in Taken}


def frame(payload: bytes) -> bytes:
    """`payload` with its length in front."""
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload
