"""The schema, one for every backend. Why the keys are as they are: docs/decisions/0004-append-mostly-keys.md.

`*_us` are microseconds since 1970, UTC, of our own clock; `*_at` of a call are the vendor's Unix seconds.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
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

calls = Table(
    "calls",
    metadata,
    Column("id", Id, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("call_key", Text, nullable=False, comment="the callid, made to sort by time: see call_key()"),
    Column("callid", Text, nullable=False),
    Column("kind", Text, nullable=False),
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
    Column("keys", Text, nullable=False, comment="JSON array, in order of arrival"),
    Column("revisions", Integer, nullable=False),
    Column("first_seen_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column(
        "block", Integer, nullable=False, comment="id // CALLS_PER_BLOCK: keeps ix_calls_block_mobile append-mostly"
    ),
    Column("reference", Text),
    Column("metadata", Text, comment="JSON object"),
    UniqueConstraint("channel", "call_key"),
    Index(None, "first_seen_us", "id"),
    Index("ix_calls_class", "channel", "kind", "outcome", "first_seen_us", "id"),
    Index(None, "block", "mobile"),
)

callbacks = Table(
    "callbacks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("call_id", Id, ForeignKey("calls.id"), nullable=False),
    Column("identity", LargeBinary(16), nullable=False),
    Column("kind", Text, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("repeated_us", BigInteger, comment="when the last repeat came"),
    Column("raw", LargeBinary, nullable=False),
    UniqueConstraint("call_id", "identity"),
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
    Column("repeats", Integer, nullable=False),
    Column("repeated_us", BigInteger),
    Column("size_bytes", Integer, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    UniqueConstraint("digest"),
    Index(None, "received_us", "id"),
)

probes = Table(
    "probes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("committed_us", BigInteger, nullable=False),
    comment="one row, rewritten to learn whether a commit succeeds",
)

CALLS_PER_BLOCK = 8192

_DASHED, _PLAIN = 36, 32  # the lengths of a UUID as text


def call_key(callid: str) -> str:
    """The callid with a UUIDv1's time put first, high bits first, so that new calls are neighbours in the index.

    `d9428888-122b-11e1-b85c-…` -> `t11e1-122b-d9428888-b85c-…`. Only the shape is looked at: a fixed order of the
    same characters, told by the first letter and the length, is one to one whatever they are.
    """
    if len(callid) == _DASHED and callid[8] == callid[13] == callid[18] == "-" and callid[14] == "1":
        return f"t{callid[14:18]}-{callid[9:13]}-{callid[:8]}{callid[18:]}"
    if len(callid) == _PLAIN and callid[12] == "1":
        return f"t{callid[12:16]}{callid[8:12]}{callid[:8]}{callid[16:]}"
    return f"x{callid}"
