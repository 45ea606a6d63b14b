"""Calls, their callbacks, and what was rejected."""

from functools import lru_cache

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from answerback.ledger.tables.base import Id, metadata

AWAITED_PREDICATE = "due_us IS NOT NULL AND overdue_us IS NULL AND outcome = 'pending'"
"""The calls that become overdue if nothing more is heard of them."""

FEE_MISMATCH_PREDICATE = "fee_mismatch_minutes IS NOT NULL"
FAILURE_CODE_PREDICATE = "failure_code IS NOT NULL"
REFERENCE_PREDICATE = "reference IS NOT NULL"
OVERDUE_PREDICATE = "overdue_us IS NOT NULL"

calls = Table(
    "calls",
    metadata,
    Column("id", Id, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("call_key", Text, nullable=False, comment="the callid, made to sort by time: see call_key()"),
    Column("callid", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="empty: annotated, and no callback yet"),
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
    Column("due_us", BigInteger, comment="when an outcome is due, by the annotation"),
    Column("overdue_us", BigInteger, comment="when it was marked as overdue"),
    Column("annotated_us", BigInteger, comment="when the call was last annotated"),
    Column("fee_mismatch_minutes", Integer, comment="billed minutes over the due ones; null: as due, or not known"),
    Column("missing", SmallInteger, comment="which numbers no callback had, though their text is empty: see rows.py"),
    UniqueConstraint("channel", "call_key"),
    Index(None, "first_seen_us", "id"),
    Index("ix_calls_class", "channel", "kind", "outcome", "first_seen_us", "id"),
    Index(None, "mobile_block", "mobile"),
    Index("ix_calls_due", "due_us", sqlite_where=text(AWAITED_PREDICATE)),
    Index("ix_calls_fee", "first_seen_us", "id", sqlite_where=text(FEE_MISMATCH_PREDICATE)),
    Index("ix_calls_failure", "failure_code", "first_seen_us", "id", sqlite_where=text(FAILURE_CODE_PREDICATE)),
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
    Column("erased_us", BigInteger, comment="when somebody's number was erased from it"),
    UniqueConstraint("call_id", "fingerprint"),
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


pruned_calls = Table(
    "pruned_calls",
    metadata,
    Column("channel", Text, nullable=False),
    Column("call_key", Text, nullable=False),
    Column("pruned_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("channel", "call_key"),
    Index(None, "pruned_us"),
    comment="the calls that were deleted for their age: a late callback of one is not a new call",
    sqlite_with_rowid=False,
)

_DASHED, _PLAIN = 36, 32  # the lengths of a UUID as text


@lru_cache(maxsize=8192)
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
