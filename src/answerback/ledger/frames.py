"""What the gateway and the ledger's writer say to each other: length-prefixed MessagePack over a socket pair.

A batch of bodies goes out, the verdicts come back, in order. An empty batch asks for a commit of nothing: a probe.
"""

from collections.abc import Sequence

import msgspec

from answerback.ledger.store import Opening
from answerback.ledger.values import Receipt, Taken, Verdict
from answerback.model import Arrival, Kind, Received, Rejected

LENGTH_BYTES = 4


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """A byte per item, and result and errmsg of each refused one; or `problem`, and then nothing was stored."""

    codes: bytes = b""
    refusals: list[tuple[int, str]] = []
    problem: str | None = None


encode_batch = msgspec.msgpack.Encoder().encode
decode_batch = msgspec.msgpack.Decoder(list[Arrival]).decode
encode_reply = msgspec.msgpack.Encoder().encode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
encode_opening = msgspec.msgpack.Encoder().encode
decode_opening = msgspec.msgpack.Decoder(Opening).decode

_KINDS = (None, *Kind)
_VERDICTS = [Verdict(taken, kind) for taken in Taken for kind in _KINDS]
_CODES = {(verdict.taken, verdict.kind): code for code, verdict in enumerate(_VERDICTS)}


def reply_to(items: Sequence[Received | Rejected], receipts: Sequence[Receipt]) -> Reply:
    """The reply that tells what became of a batch."""
    kinds = (item.callback.kind if isinstance(item, Received) else None for item in items)
    codes = bytes([_CODES[receipt.taken, kind] for receipt, kind in zip(receipts, kinds, strict=True)])
    return Reply(codes, [(item.result, item.reason) for item in items if isinstance(item, Rejected)])


def verdicts_in(reply: Reply) -> list[Verdict]:
    """The verdicts that a reply tells, in the order of its batch."""
    verdicts = [_VERDICTS[code] for code in reply.codes]
    if reply.refusals:
        refusals = iter(reply.refusals)
        verdicts = [
            Verdict(verdict.taken, None, *next(refusals)) if verdict.kind is None else verdict for verdict in verdicts
        ]
    return verdicts


def frame(payload: bytes) -> bytes:
    """`payload` with its length in front."""
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload
