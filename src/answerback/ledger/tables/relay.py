"""Endpoints, the deliveries to them, and their attempts."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, SmallInteger, Table, Text, text

from answerback.ledger.tables.base import Id, metadata

PENDING_PREDICATE = "state = 'pending'"
"""The deliveries that may go out: at most one for each call and endpoint."""

BLOCKED_PREDICATE = "state = 'blocked'"
DEAD_PREDICATE = "state = 'dead'"

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
    Index("uq_endpoints_name", "name", unique=True, sqlite_where=text("deleted_us IS NULL")),
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
    Column("finished_us", BigInteger, comment="when it was delivered, or became dead"),
    Index(None, "call_id", "endpoint_id"),
    Index(None, "endpoint_id", "id"),
    Index("ix_deliveries_due", "endpoint_id", "due_us", "id", sqlite_where=text(PENDING_PREDICATE)),
    Index("ix_deliveries_blocked", "endpoint_id", "state", "id", sqlite_where=text(BLOCKED_PREDICATE)),
    Index("ix_deliveries_dead", "endpoint_id", "state", "id", sqlite_where=text(DEAD_PREDICATE)),
    Index(
        "ix_deliveries_call_due",
        "call_id",
        "state",  # or SQLite takes the index of all deliveries of a call
        "endpoint_id",
        sqlite_where=text(PENDING_PREDICATE),
    ),
    Index("ix_deliveries_call_blocked", "call_id", "endpoint_id", "state", "id", sqlite_where=text(BLOCKED_PREDICATE)),
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
