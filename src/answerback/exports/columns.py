"""The columns of each export: named as in the views of /v1, and masked as they are."""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Text, and_, case, cast, func, literal, null, select

from answerback.domain.endpoints import EventType
from answerback.domain.masking import MASKS
from answerback.domain.models import MAX_DURATION_S, Outcome
from answerback.domain.webhook_payload import EVENT_TYPES
from answerback.exports.fast_mask import mask_contract_body
from answerback.ledger.rows import NUMBER_COLUMNS
from answerback.ledger.tables import attempts, callbacks, calls, deliveries, endpoints, rollups


class ColumnType(Enum):
    """What stands in a column, as the driver gives it."""

    TRUSTED_TEXT = auto()
    """Text of our own."""
    UNTRUSTED_TEXT = auto()
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
    """One column of a file; `source` is its expression in the ledger, `mask` takes the numbers out of one value."""

    name: str
    type: ColumnType
    source: ColumnElement[Any]
    mask: Callable[[Any], Any] | None = None


_HOUR_S = 3600

_to_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder().decode


def _with_masks(*columns: Column) -> tuple[Column, ...]:
    """`columns`, each with the mask of the field that it is named after."""
    return tuple(msgspec.structs.replace(column, mask=column.mask or _mask_of(column)) for column in columns)


def _mask_of(column: Column) -> Callable[[Any], Any] | None:
    mask = MASKS.get(column.name)
    if mask is None or column.type not in (ColumnType.KEYS, ColumnType.DOCUMENT):
        return mask
    return lambda text: text if text == "[]" else _to_json(mask(_from_json(text))).decode()


_c, _b, _d, _r = calls.c, callbacks.c, deliveries.c, rollups.c


def _number(name: str) -> ColumnElement[Any]:
    """One of the call's numbers, as `rows.call_of` has it."""
    text = _c[name]
    is_missing = _c.missing.op("&")(1 << NUMBER_COLUMNS.index(name)) != 0
    return case((and_(text == "", is_missing), null()), else_=text)


def _elapsed_s(outcome: Outcome, since: ColumnElement[Any], until: ColumnElement[Any]) -> tuple[Any, Any]:
    """A case of `models.ring_s` or `talk_s`, in SQL."""
    elapsed_s = case((until - since > MAX_DURATION_S, MAX_DURATION_S), else_=until - since)
    return and_(_c.outcome == outcome.value, since <= until), elapsed_s


_ring_seconds = case(
    _elapsed_s(Outcome.ANSWERED, _c.started_at, _c.answered_at),
    _elapsed_s(Outcome.UNANSWERED, _c.started_at, _c.ended_at),
)
_talk_seconds = case(_elapsed_s(Outcome.ANSWERED, _c.answered_at, _c.ended_at))

CALL_COLUMNS = _with_masks(
    Column("callid", ColumnType.UNTRUSTED_TEXT, _c.callid),
    Column("channel", ColumnType.TRUSTED_TEXT, _c.channel),
    Column("kind", ColumnType.TRUSTED_TEXT, func.nullif(_c.kind, "")),
    Column("mobile", ColumnType.UNTRUSTED_TEXT, _number("mobile")),
    Column("nationcode", ColumnType.UNTRUSTED_TEXT, _number("nationcode")),
    Column("call_from", ColumnType.UNTRUSTED_TEXT, _number("call_from")),
    Column("outcome", ColumnType.TRUSTED_TEXT, _c.outcome),
    Column("result", ColumnType.NUMBER, _c.result),
    Column("started_at", ColumnType.SECONDS, _c.started_at),
    Column("answered_at", ColumnType.SECONDS, _c.answered_at),
    Column("ended_at", ColumnType.SECONDS, _c.ended_at),
    Column("ring_seconds", ColumnType.NUMBER, _ring_seconds),
    Column("talk_seconds", ColumnType.NUMBER, _talk_seconds),
    Column("fee_minutes", ColumnType.NUMBER, _c.fee_minutes),
    Column("failure_code", ColumnType.NUMBER, _c.failure_code),
    Column("failure_reason", ColumnType.UNTRUSTED_TEXT, _c.failure_reason),
    Column("keys", ColumnType.KEYS, _c["keys"]),
    Column("keys_total", ColumnType.NUMBER, _c.keys_total),
    Column("reference", ColumnType.UNTRUSTED_TEXT, _c.reference),
    Column("metadata", ColumnType.DOCUMENT, _c.metadata),
    Column("due_at", ColumnType.MICROSECONDS, _c.due_us),
    Column("overdue_at", ColumnType.MICROSECONDS, _c.overdue_us),
    Column("revisions", ColumnType.NUMBER, _c.revisions),
    Column("first_seen_at", ColumnType.MICROSECONDS, _c.first_seen_us),
    Column("updated_at", ColumnType.MICROSECONDS, _c.updated_us),
)

CALLBACK_COLUMNS = _with_masks(
    Column("id", ColumnType.NUMBER, _b.id),
    Column("callid", ColumnType.UNTRUSTED_TEXT, _c.callid),
    Column("channel", ColumnType.TRUSTED_TEXT, _c.channel),
    Column("kind", ColumnType.TRUSTED_TEXT, _b.kind),
    Column("received_at", ColumnType.MICROSECONDS, _b.received_us),
    Column("duplicates", ColumnType.NUMBER, _b.duplicates),
    Column("last_duplicate_at", ColumnType.MICROSECONDS, _b.last_duplicate_us),
    Column("raw", ColumnType.BODY, _b.raw, mask_contract_body),
)

_message_id = (
    literal("dlv_").concat(cast(_d.id, Text)).concat("_").concat(_d.message_tag)
)  # deliveries.message_id, in SQL
_type = case(*((_d.event == event.value, EVENT_TYPES[event]) for event in EventType))
_attempts = attempts.alias("latest_attempts")
_last_attempt = (
    select(func.max(_attempts.c.id)).where(_attempts.c.delivery_id == _d.id).correlate(deliveries).scalar_subquery()
)

DELIVERY_COLUMNS = _with_masks(
    Column("id", ColumnType.NUMBER, _d.id),
    Column("message_id", ColumnType.TRUSTED_TEXT, _message_id),
    Column("endpoint", ColumnType.TRUSTED_TEXT, endpoints.c.name),
    Column("channel", ColumnType.TRUSTED_TEXT, _c.channel),
    Column("callid", ColumnType.UNTRUSTED_TEXT, _c.callid),
    Column("callback_id", ColumnType.NUMBER, _d.callback_id),
    Column("type", ColumnType.TRUSTED_TEXT, _type),
    Column("state", ColumnType.TRUSTED_TEXT, _d.state),
    Column("attempts", ColumnType.NUMBER, _d.attempts),
    Column("failed_attempts", ColumnType.NUMBER, _d.failed_attempts),
    Column("last_http_status", ColumnType.NUMBER, attempts.c.http_status),
    Column("last_error", ColumnType.UNTRUSTED_TEXT, attempts.c.error),
    Column("due_at", ColumnType.MICROSECONDS, _d.due_us),
    Column("created_at", ColumnType.MICROSECONDS, _d.created_us),
    Column("finished_at", ColumnType.MICROSECONDS, _d.finished_us),
)

STATISTICS_COLUMNS = (
    Column("hour", ColumnType.SECONDS, _r.bucket_start_hour * _HOUR_S),
    Column("channel", ColumnType.TRUSTED_TEXT, _r.channel),
    Column("kind", ColumnType.TRUSTED_TEXT, func.nullif(_r.kind, "")),
    Column("outcome", ColumnType.TRUSTED_TEXT, _r.outcome),
    Column("calls", ColumnType.NUMBER, _r.calls),
    Column("fee_minutes", ColumnType.NUMBER, _r.fee_minutes),
)


def source_expressions(columns: Sequence[Column]) -> list[ColumnElement[Any]]:
    return [column.source for column in columns]


CALLS_QUERY = select(*source_expressions(CALL_COLUMNS))
CALLBACKS_QUERY = select(*source_expressions(CALLBACK_COLUMNS)).join_from(
    callbacks, calls, calls.c.id == callbacks.c.call_id
)
DELIVERIES_QUERY = (
    select(*source_expressions(DELIVERY_COLUMNS))
    .join_from(deliveries, calls, calls.c.id == _d.call_id)
    .join(endpoints, endpoints.c.id == _d.endpoint_id)
    .outerjoin(attempts, attempts.c.id == _last_attempt)
)
STATISTICS_QUERY = select(*source_expressions(STATISTICS_COLUMNS)).where(_r.bucket_hours == 1)
