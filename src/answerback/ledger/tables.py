"""The schema, one for every backend. Why the keys are as they are: docs/decisions/0004-append-mostly-keys.md.

`*_us` are microseconds since 1970, UTC, of our own clock; `*_at` of a call are the vendor's Unix seconds.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    case,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite's own row id is spelled INTEGER

AWAITED_PREDICATE = "due_us IS NOT NULL AND overdue_us IS NULL AND outcome = 'pending'"
"""The calls that become overdue if nothing more is heard of them."""

FEE_MISMATCH_PREDICATE = "fee_mismatch_minutes IS NOT NULL"
FAILURE_CODE_PREDICATE = "failure_code IS NOT NULL"
REFERENCE_PREDICATE = "reference IS NOT NULL"
OVERDUE_PREDICATE = "overdue_us IS NOT NULL"

PENDING_PREDICATE = "state = 'pending'"
"""The deliveries that may go out: at most one for each call and endpoint."""

BLOCKED_PREDICATE = "state = 'blocked'"
DEAD_PREDICATE = "state = 'dead'"

calls = Table(
    "calls",
    metadata,
    Column("id", Id, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("call_key", Text, nullable=False, comment="the callid, made to sort by time: see call_key()"),
    Column("callid", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="empty: registered by the business, and no callback yet"),
    Column("outcome", Text, nullable=False),
    Column("nationcode", Text, nullable=False),
    Column("mobile", Text, nullable=False),
    Column("call_from", Text, nullable=False),
    Column("result", SmallInteger),
    Column("started_at", BigInteger),
    Column("answered_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("fee_minutes", Integer),
    Column("failure_code", Integer),
    Column("failure_reason", Text),
    Column("keys", Text, nullable=False, comment="JSON array, the first of them in order of arrival"),
    Column("keys_total", Integer, nullable=False, server_default="0", comment="key presses, kept in keys or not"),
    Column("revisions", Integer, nullable=False),
    Column("first_seen_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column(
        "mobile_block",
        Integer,
        nullable=False,
        comment="months.block_of(id): keeps ix_calls_mobile_block_mobile append-mostly",
    ),
    Column("reference", Text),
    Column("metadata", Text, comment="JSON object"),
    Column("due_us", BigInteger, comment="when the business expects to know"),
    Column("overdue_us", BigInteger, comment="when it was marked as overdue"),
    Column("annotated_us", BigInteger, comment="when the business last said what it knows of the call"),
    Column("fee_mismatch_minutes", Integer, comment="billed minutes over the due ones; null: as due, or not known"),
    Column("missing", SmallInteger, comment="which numbers no callback had, though their text is empty: see rows.py"),
    UniqueConstraint("channel", "call_key"),
    Index(None, "first_seen_us", "id"),
    Index("ix_calls_class", "channel", "kind", "outcome", "first_seen_us", "id"),
    Index(None, "mobile_block", "mobile"),
    Index("ix_calls_due", "due_us", sqlite_where=text(AWAITED_PREDICATE)),
    Index("ix_calls_fee", "first_seen_us", "id", sqlite_where=text(FEE_MISMATCH_PREDICATE)),
    Index(
        "ix_calls_failure",
        "failure_code",
        "first_seen_us",
        "id",
        sqlite_where=text(FAILURE_CODE_PREDICATE),
    ),
    Index("ix_calls_reference", "reference", sqlite_where=text(REFERENCE_PREDICATE)),
    Index("ix_calls_overdue", "overdue_us", sqlite_where=text(OVERDUE_PREDICATE)),
)

callbacks = Table(
    "callbacks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("call_id", Id, ForeignKey("calls.id"), nullable=False),
    Column("fingerprint", LargeBinary(16), nullable=False),
    Column("kind", Text, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("duplicates", Integer, nullable=False),
    Column("last_duplicate_us", BigInteger, comment="when the last repeat came"),
    Column("raw", LargeBinary, nullable=False),
    UniqueConstraint("call_id", "fingerprint"),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("config", Text, nullable=False, comment="JSON object: url, format, filters, limits"),
    Column("enabled", SmallInteger, nullable=False),
    Column("disabled_reason", Text),
    Column("secret", Text, nullable=False),
    Column("previous_secret", Text),
    Column("previous_secret_expires_us", BigInteger, comment="until then both secrets sign"),
    Column("from_config", SmallInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("deleted_us", BigInteger, comment="its history stays"),
    Column("consecutive_failures", Integer, nullable=False, comment="in a row, when it was paused"),
    Column("paused_until_us", BigInteger),
    Column("revision", BigInteger, nullable=False, comment="of endpoint_revision, by its last change"),
    Column("retargeted_us", BigInteger, comment="when what goes there, or where, was last changed"),
    Index(None, "revision"),
    Index(
        "uq_endpoints_name",
        "name",
        unique=True,
        sqlite_where=text("deleted_us IS NULL"),
    ),
)

endpoint_revision = Table(
    "endpoint_revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    comment="one row, raised by every change of an endpoint, so that each process sees which to read again",
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("endpoint_id", Id, ForeignKey("endpoints.id"), nullable=False),
    Column("call_id", Id, ForeignKey("calls.id"), nullable=False),
    Column("callback_id", Id, comment="null: it is about the call, not about a callback"),
    Column("event", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("message_tag", Text, nullable=False, comment="what makes its message id its own, should ids start anew"),
    Column("attempts", Integer, nullable=False),
    Column("failed_attempts", Integer, nullable=False, comment="attempts that count towards giving up"),
    Column("due_us", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger, comment="when it was delivered or given up"),
    Index(None, "call_id", "endpoint_id"),
    Index(None, "endpoint_id", "id"),
    Index("ix_deliveries_due", "endpoint_id", "due_us", "id", sqlite_where=text(PENDING_PREDICATE)),
    Index(
        "ix_deliveries_blocked",
        "endpoint_id",
        "state",
        "id",
        sqlite_where=text(BLOCKED_PREDICATE),
    ),
    Index("ix_deliveries_dead", "endpoint_id", "state", "id", sqlite_where=text(DEAD_PREDICATE)),
    Index(
        "ix_deliveries_call_due",
        "call_id",
        "state",  # or SQLite takes the index of all deliveries of a call
        "endpoint_id",
        sqlite_where=text(PENDING_PREDICATE),
    ),
    Index(
        "ix_deliveries_call_blocked",
        "call_id",
        "endpoint_id",
        "state",
        "id",
        sqlite_where=text(BLOCKED_PREDICATE),
    ),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("delivery_id", Id, ForeignKey("deliveries.id"), nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("http_status", SmallInteger, comment="of HTTP; null: there was no answer"),
    Column("response_body", LargeBinary, nullable=False, comment="its first bytes"),
    Column("error", Text, comment="in plain words; null: delivered"),
    Index(None, "delivery_id"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Id, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("digest", LargeBinary(16), nullable=False, comment="of channel and raw"),
    Column("result", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("duplicates", Integer, nullable=False),
    Column("last_duplicate_us", BigInteger),
    Column("size_bytes", Integer, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    UniqueConstraint("digest"),
    Index(None, "received_us", "id"),
    Index(None, "size_bytes"),  # the sum of all of them is taken now and then, and their rows are large
)

_rollup_key = ("bucket_hours", "bucket_start_hour", "channel", "kind", "outcome")


def _rollup_columns() -> list[Column[Any]]:
    return [
        Column("bucket_hours", SmallInteger, nullable=False, comment="how long: an hour, or a day of UTC"),
        Column("bucket_start_hour", Integer, nullable=False, comment="since when: hours since 1970, UTC"),
        Column("channel", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("outcome", Text, nullable=False),
    ]


rollups = Table(
    "rollups",
    metadata,
    *_rollup_columns(),
    Column("calls", Integer, nullable=False),
    Column("fee_minutes", BigInteger, nullable=False),
    Column("due_minutes", BigInteger, nullable=False, comment="of those calls whose fee can be checked"),
    Column("fee_mismatches", Integer, nullable=False, comment="calls whose fee is not what is due"),
    Column("overbilled_minutes", BigInteger, nullable=False, comment="sum of their differences"),
    Column("overdue", Integer, nullable=False, comment="calls that were marked as overdue"),
    Column("ring_calls", Integer, nullable=False, comment="calls whose ring time is known"),
    Column("ring_s", BigInteger, nullable=False),
    Column("talk_calls", Integer, nullable=False, comment="calls whose talk time is known"),
    Column("talk_s", BigInteger, nullable=False),
    PrimaryKeyConstraint(*_rollup_key),
    comment="what the calls first seen in a span come to; written with the callbacks that change them",
    sqlite_with_rowid=False,
)

rollup_breakdowns = Table(
    "rollup_breakdowns",
    metadata,
    *_rollup_columns(),
    Column(
        "counts",
        Text,
        nullable=False,
        comment="JSON object: code:8, carrier:China Mobile, region:CN-GD, ring:15, talk:10 -> calls",
    ),
    PrimaryKeyConstraint(*_rollup_key),
    comment="the same calls by what has many values",  # with a row id: two rows fit a page, where they would overflow
)

hourly_ingest = Table(
    "hourly_ingest",
    metadata,
    Column("hour", Integer, nullable=False, comment="in which they came: hours since 1970, UTC"),
    Column("channel", Text, nullable=False),
    Column("callbacks", Integer, nullable=False),
    Column("duplicates", Integer, nullable=False),
    Column("revisions", Integer, nullable=False),
    Column("quarantined", Integer, nullable=False),
    PrimaryKeyConstraint("hour", "channel"),
    sqlite_with_rowid=False,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary(32), nullable=False, comment="SHA-256 of the key"),
    Column("role", Text, nullable=False),
    Column("full_numbers", SmallInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("revoked_us", BigInteger),
    UniqueConstraint("digest"),
    Index(
        "uq_api_keys_name",
        "name",
        unique=True,
        sqlite_where=text("revoked_us IS NULL"),
    ),
)

ended_sessions = Table(
    "ended_sessions",
    metadata,
    Column("id", Text, primary_key=True, comment="the token of a session of the console"),
    Column("expires_us", BigInteger, nullable=False, comment="when it would have ended by itself"),
    comment="the sessions that were signed out of",
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("occurred_us", BigInteger, nullable=False),
    Column("actor", Text, nullable=False, comment="the key's name"),
    Column("action", Text, nullable=False, comment="numbers_revealed, exported, key_created, key_revoked, ..."),
    Column("target", Text, nullable=False),
    comment="what people did that is to be accounted for",
)

alerts = Table(
    "alerts",
    metadata,
    Column("rule", Text, primary_key=True),
    Column("firing", SmallInteger, nullable=False),
    Column("since_us", BigInteger, nullable=False, comment="when it last began or ended"),
    Column("value", Text, nullable=False, comment="JSON: what was measured last"),
    Column("notified_us", BigInteger, comment="when people were last notified"),
)

write_probes = Table(
    "write_probes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("committed_us", BigInteger, nullable=False),
    comment="one row, rewritten to learn whether a commit succeeds",
)

instances = Table(
    "instances",
    metadata,
    Column("id", Text, primary_key=True, comment="made anew by each start"),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("roles", Text, nullable=False, comment="JSON array"),
    Column("version", Text, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("heartbeat_us", BigInteger, nullable=False, comment="when its last heartbeat came"),
    Column("status", Text, nullable=False, comment="JSON object: what it says of itself"),
    comment="the processes that serve this ledger",
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True, comment="what one process at a time may do: endpoint:12, overdue, alerts"),
    Column("holder", Text, nullable=False, comment="an instance; empty: nobody"),
    Column("expires_us", BigInteger, nullable=False),
)

commit_tokens = Table(
    "commit_tokens",
    metadata,
    Column("id", Text, primary_key=True, comment="made anew by each start"),
    Column(
        "token",
        Text,
        nullable=False,
        comment="of its last transaction: on PostgreSQL it shows whether that was committed",
    ),
    Column("last_connected_us", BigInteger, nullable=False, comment="when it last connected"),
)

consumed_batches = Table(
    "consumed_batches",
    metadata,
    Column("batch_id", LargeBinary(16), primary_key=True),
    Column("published_us", BigInteger, nullable=False),
    Index(None, "published_us"),
    comment="the batches of the stream that are in this ledger, as long as they may come once more",
)

MAX_INTEGER = 2**31 - 1


def saturating_add(column: Column[int], more: int | ColumnElement[int]) -> ColumnElement[int]:
    """A counter and `more`, or the largest number that its column holds: no flood of repeats may make it overflow."""
    return case((column > MAX_INTEGER - more, MAX_INTEGER), else_=column + more)


_DASHED, _PLAIN = 36, 32  # the lengths of a UUID as text


def call_key(callid: str) -> str:
    """The callid with a UUIDv1's time put first, high bits first, so that new calls are neighbours in the index.

    `d9428888-122b-11e1-b85c-…` -> `t11e1-122b-d9428888-b85c-…`. Only the shape is looked at: a fixed order of the
    same characters, marked by the first letter and the length, is one to one whatever they are.
    """
    if len(callid) == _DASHED and callid[8] == callid[13] == callid[18] == "-" and callid[14] == "1":
        return f"t{callid[14:18]}-{callid[9:13]}-{callid[:8]}{callid[18:]}"
    if len(callid) == _PLAIN and callid[12] == "1":
        return f"t{callid[12:16]}{callid[8:12]}{callid[:8]}{callid[16:]}"
    return f"x{callid}"
