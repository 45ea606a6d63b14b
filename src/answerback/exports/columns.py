"""The columns of each export: named as in the views of /v1, and masked as they are."""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Text, and_, case, cast, func, literal, null, select

from answerback.domain.delivery_states import mask_message_id
from answerback.domain.masking import MASKS
from answerback.domain.models import LONGEST_S, Event, Outcome
from answerback.domain.webhook_payload import TYPES
from answerback.exports.fast_mask import mask_plain_body
from answerback.ledger.rows import NUMBERS
from answerback.ledger.tables import attempts, callbacks, calls, deliveries, endpoints, rollups


class Sort(Enum):
    """What stands in a column, as the driver gives it."""

    WORD = auto()
    """Text of our own."""
    TEXT = auto()
    """Text of somebody else's."""
    NUMBER = auto()
    BODY = auto()
    """The bytes of a callback."""
    SECONDS = auto()
    """A time in Unix seconds."""
    MICROSECONDS = auto()
    """A time in microseconds since 1970."""
    KEYS = auto()
    """A JSON array of texts."""
    DOCUMENT = auto()
    """A JSON object as text."""


class Column(msgspec.Struct, frozen=True):
    """One column of a file; `source` is its expression in the ledger, `hide` takes the numbers out of one value."""

    name: str
    sort: Sort
    source: ColumnElement[Any]
    hide: Callable[[Any], Any] | None = None


_HOUR_S = 3600

_to_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder().decode


def _with_masks(*columns: Column) -> tuple[Column, ...]:
    """`columns`, each with the mask of the field that it is named after."""
    return tuple(msgspec.structs.replace(column, hide=column.hide or _mask_of(column)) for column in columns)


def _mask_of(column: Column) -> Callable[[Any], Any] | None:
    mask = MASKS.get(column.name)
    if mask is None or column.sort not in (Sort.KEYS, Sort.DOCUMENT):
        return mask
    return lambda text: text if text == "[]" else _to_json(mask(_from_json(text))).decode()


_c, _b, _d, _r = calls.c, callbacks.c, deliveries.c, rollups.c


def _number(name: str) -> ColumnElement[Any]:
    """One of the call's numbers, as `rows.call_of` has it."""
    text = _c[name]
    is_missing = _c.missing.op("&")(1 << NUMBERS.index(name)) != 0
    return case((and_(text == "", is_missing), null()), else_=text)


def _elapsed_s(outcome: Outcome, since: ColumnElement[Any], until: ColumnElement[Any]) -> tuple[Any, Any]:
    """A case of `models.ring_s` or `talk_s`, in SQL."""
    elapsed_s = case((until - since > LONGEST_S, LONGEST_S), else_=until - since)
    return and_(_c.outcome == outcome.value, since <= until), elapsed_s


_ring_seconds = case(
    _elapsed_s(Outcome.ANSWERED, _c.started_at, _c.answered_at),
    _elapsed_s(Outcome.UNANSWERED, _c.started_at, _c.ended_at),
)
_talk_seconds = case(_elapsed_s(Outcome.ANSWERED, _c.answered_at, _c.ended_at))

CALL_COLUMNS = _with_masks(
    Column("callid", Sort.TEXT, _c.callid),
    Column("channel", Sort.WORD, _c.channel),
    Column("kind", Sort.WORD, func.nullif(_c.kind, "")),
    Column("mobile", Sort.TEXT, _number("mobile")),
    Column("nationcode", Sort.TEXT, _number("nationcode")),
    Column("call_from", Sort.TEXT, _number("call_from")),
    Column("outcome", Sort.WORD, _c.outcome),
    Column("result", Sort.NUMBER, _c.result),
    Column("started_at", Sort.SECONDS, _c.started_at),
    Column("answered_at", Sort.SECONDS, _c.answered_at),
    Column("ended_at", Sort.SECONDS, _c.ended_at),
    Column("ring_seconds", Sort.NUMBER, _ring_seconds),
    Column("talk_seconds", Sort.NUMBER, _talk_seconds),
    Column("fee_minutes", Sort.NUMBER, _c.fee_minutes),
    Column("failure_code", Sort.NUMBER, _c.failure_code),
    Column("failure_reason", Sort.TEXT, _c.failure_reason),
    Column("keys", Sort.KEYS, _c["keys"]),
    Column("keys_total", Sort.NUMBER, _c.keys_total),
    Column("reference", Sort.TEXT, _c.reference),
    Column("metadata", Sort.DOCUMENT, _c.metadata),
    Column("due_at", Sort.MICROSECONDS, _c.due_us),
    Column("overdue_at", Sort.MICROSECONDS, _c.overdue_us),
    Column("revisions", Sort.NUMBER, _c.revisions),
    Column("first_seen_at", Sort.MICROSECONDS, _c.first_seen_us),
    Column("updated_at", Sort.MICROSECONDS, _c.updated_us),
)

CALLBACK_COLUMNS = _with_masks(
    Column("id", Sort.NUMBER, _b.id),
    Column("callid", Sort.TEXT, _c.callid),
    Column("channel", Sort.WORD, _c.channel),
    Column("kind", Sort.WORD, _b.kind),
    Column("received_at", Sort.MICROSECONDS, _b.received_us),
    Column("repeats", Sort.NUMBER, _b.repeats),
    Column("repeated_at", Sort.MICROSECONDS, _b.repeated_us),
    Column("raw", Sort.BODY, _b.raw, mask_plain_body),
)

_message_id = literal("dlv_").concat(cast(_d.id, Text)).concat("_").concat(_d.tag)  # deliveries.message_id, in SQL
_type = case(*((_d.event == event.value, TYPES[event]) for event in Event))
_tried = attempts.alias("tried")
_last_attempt = (
    select(func.max(_tried.c.id)).where(_tried.c.delivery_id == _d.id).correlate(deliveries).scalar_subquery()
)

DELIVERY_COLUMNS = _with_masks(
    Column("id", Sort.NUMBER, _d.id),
    Column("message_id", Sort.WORD, _message_id, mask_message_id),
    Column("endpoint", Sort.WORD, endpoints.c.name),
    Column("channel", Sort.WORD, _c.channel),
    Column("callid", Sort.TEXT, _c.callid),
    Column("callback_id", Sort.NUMBER, _d.callback_id),
    Column("type", Sort.WORD, _type),
    Column("state", Sort.WORD, _d.state),
    Column("attempts", Sort.NUMBER, _d.attempts),
    Column("failures", Sort.NUMBER, _d.failures),
    Column("last_status", Sort.NUMBER, attempts.c.status),
    Column("last_error", Sort.TEXT, attempts.c.error),
    Column("due_at", Sort.MICROSECONDS, _d.due_us),
    Column("created_at", Sort.MICROSECONDS, _d.created_us),
    Column("settled_at", Sort.MICROSECONDS, _d.settled_us),
)

STATISTICS_COLUMNS = (
    Column("hour", Sort.SECONDS, _r.start_hour * _HOUR_S),
    Column("channel", Sort.WORD, _r.channel),
    Column("kind", Sort.WORD, func.nullif(_r.kind, "")),
    Column("outcome", Sort.WORD, _r.outcome),
    Column("calls", Sort.NUMBER, _r.calls),
    Column("fee_minutes", Sort.NUMBER, _r.fee_minutes),
)


def sources(columns: Sequence[Column]) -> list[ColumnElement[Any]]:
    """What is to be selected for them."""
    return [column.source for column in columns]


CALLS_SELECTED = select(*sources(CALL_COLUMNS))
CALLBACKS_SELECTED = select(*sources(CALLBACK_COLUMNS)).join_from(callbacks, calls, calls.c.id == callbacks.c.call_id)
DELIVERIES_SELECTED = (
    select(*sources(DELIVERY_COLUMNS))
    .join_from(deliveries, calls, calls.c.id == _d.call_id)
    .join(endpoints, endpoints.c.id == _d.endpoint_id)
    .outerjoin(attempts, attempts.c.id == _last_attempt)
)
STATISTICS_SELECTED = select(*sources(STATISTICS_COLUMNS)).where(_r.hours == 1)
