"""Rows as the values that they hold, and a `Call` as its row."""

from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Row

from answerback.domain.models import Call, CallbackKind, Outcome, Result, talk_s, to_unix_s
from answerback.domain.statistics import due_minutes, fee_mismatch_minutes
from answerback.ledger.backends.postgresql.partition_ids import block_of
from answerback.ledger.tables import calls
from answerback.ledger.types import from_us, to_us

V = TypeVar("V", bound=msgspec.Struct)

_ANNOTATION_COLUMNS = ("reference", "metadata", "due_us", "overdue_us", "annotated_us")

CALL_COLUMNS = tuple(name for name in calls.c.keys() if name not in _ANNOTATION_COLUMNS)  # noqa: SIM118  # no dict
"""The columns that the fold writes."""

READ_COLUMNS = (*CALL_COLUMNS, *_ANNOTATION_COLUMNS)

NUMBER_COLUMNS = ("nationcode", "mobile", "call_from")
"""Where the column is empty and its bit of `missing` is set, 1, 2 or 4, no callback had it: it is None, not "".

The columns are older than that difference and hold no NULL, so that the release before can read them.
"""

_to_json = msgspec.json.Encoder().encode
_keys = msgspec.json.Decoder(tuple[str, ...]).decode
_metadata = msgspec.json.Decoder(dict[str, Any]).decode


def read_row(type_: type[V], row: Row[Any], /, **own: Any) -> V:
    """The value of `type_` in a row: its fields by the names of the columns, `x_at` by `x_us`, or `own` ones."""
    columns = row._asdict()
    for name in type_.__struct_fields__:
        if name not in own and name in columns:
            own[name] = columns[name]
        elif name not in own and (microseconds := f"{name.removesuffix('_at')}_us") in columns:
            own[name] = _from_us(columns[microseconds])
    return type_(**own)


def call_row(id_: int, key: str, call: Call) -> tuple[object, ...]:
    """The values of CALL_COLUMNS; `key` is the callid's call_key."""
    outcome = call.outcome.value
    started_at, answered_at, ended_at = (
        to_unix_s(call.started_at),
        to_unix_s(call.answered_at),
        to_unix_s(call.ended_at),
    )
    return (
        id_,
        call.channel,
        key,
        call.callid,
        call.kind.value if call.kind else "",
        outcome,
        call.nationcode or "",
        call.mobile or "",
        call.call_from or "",
        None if call.result is None else call.result.value,
        started_at,
        answered_at,
        ended_at,
        call.fee_minutes,
        call.failure_code,
        call.failure_reason,
        _to_json(call.keys).decode() if call.keys else "[]",
        call.keys_total,
        call.revisions,
        (first_seen_us := to_us(call.first_seen_at)),
        first_seen_us if call.updated_at is call.first_seen_at else to_us(call.updated_at),
        block_of(id_),
        fee_mismatch_minutes(call.fee_minutes, due_minutes(outcome, talk_s(outcome, answered_at, ended_at))),
        (call.nationcode is None) | (call.mobile is None) << 1 | (call.call_from is None) << 2 or None,
    )


def call_of(row: tuple[Any, ...], seen: frozenset[bytes] = frozenset()) -> Call:
    """The call in a row of READ_COLUMNS."""
    values = dict(zip(READ_COLUMNS, row, strict=True))
    for name in ("id", "call_key", "mobile_block", "fee_mismatch_minutes"):
        del values[name]
    for name in ("started_at", "answered_at", "ended_at"):
        values[name] = _from_s(values[name])
    if missing := values.pop("missing"):
        for bit, name in enumerate(NUMBER_COLUMNS):
            values[name] = values[name] or (None if missing >> bit & 1 else "")
    keys = _keys(values.pop("keys"))
    return Call(
        kind=CallbackKind(kind) if (kind := values.pop("kind")) else None,
        outcome=Outcome(values.pop("outcome")),
        result=None if (result := values.pop("result")) is None else Result(result),
        keys=keys,
        keys_total=max(values.pop("keys_total"), len(keys)),  # a release before this one counts none
        first_seen_at=from_us(values.pop("first_seen_us")),
        updated_at=from_us(values.pop("updated_us")),
        due_at=_from_us(values.pop("due_us")),
        overdue_at=_from_us(values.pop("overdue_us")),
        annotated_at=_from_us(values.pop("annotated_us")),
        metadata=None if (text := values.pop("metadata")) is None else _metadata(text),
        fingerprints=seen,
        **values,
    )


def _from_s(when_s: int | None) -> datetime | None:
    return None if when_s is None else datetime.fromtimestamp(when_s, UTC)


def _from_us(when_us: int | None) -> datetime | None:
    return None if when_us is None else from_us(when_us)
