"""The order of key presses where it is not that of the ledger's transactions: several recorders consume one stream."""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.engine import Connection

from answerback.domain.models import MAX_KEYS, Call, CallbackKind, KeyPress, ParsedCallback, RawCallback
from answerback.errors import CallbackRejected
from answerback.ledger.tables import callbacks
from answerback.ledger.types import to_us
from answerback.tencent.parsing import parse_callback

_EPOCH = datetime.fromtimestamp(0, UTC)


def is_out_of_order(before: Call | None, item: ParsedCallback) -> bool:
    """Whether a key was pressed before one that the call holds already, as far as that can be.

    Of a call with very many callbacks it is not asked: to put its keys in order all of them would have to be read.
    """
    return (
        before is not None
        and bool(before.keys)
        and before.keys_total + before.revisions <= MAX_KEYS
        and item.callback.kind is CallbackKind.KEY
        and item.received_at < before.updated_at
    )


def keys_in_order(
    connection: Connection, channel: str, call_id: int, more: Iterable[ParsedCallback], known: Iterable[str]
) -> tuple[str, ...]:
    """The keys of a call in the order in which they came in: those in the ledger, and `more` of this transaction.

    Those that are `known` and in neither, as their callbacks were deleted for their age, are the last.
    """
    stored = (
        select(callbacks.c.received_us, callbacks.c.raw)
        .where(callbacks.c.call_id == call_id, callbacks.c.kind == CallbackKind.KEY.value)
        .order_by(callbacks.c.id)
    )
    pressed = [(row.received_us, key) for row in connection.execute(stored) if (key := _key_of(channel, row.raw))]
    pressed += [(to_us(item.received_at), item.callback.key) for item in more if isinstance(item.callback, KeyPress)]
    in_order = (key for _, key in sorted(pressed, key=lambda press: press[0]))
    return tuple(dict.fromkeys([*in_order, *known]))[:MAX_KEYS]


def _key_of(channel: str, raw: bytes) -> str | None:
    """The key in the bytes of a callback; None where this version of the program cannot read it."""
    try:
        callback = parse_callback(RawCallback(channel, raw, _EPOCH)).callback
    except CallbackRejected:
        return None
    return callback.key if isinstance(callback, KeyPress) else None
