"""Keys, sessions, the audit log, alerts, and the processes that share a ledger."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from answerback.ledger.tables.base import Id, metadata

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
    Index("uq_api_keys_name", "name", unique=True, sqlite_where=text("revoked_us IS NULL")),
)

spent_tokens = Table(
    "spent_tokens",
    metadata,
    Column("id", Text, primary_key=True, comment="of a session of the console, or of a sign-in link"),
    Column("expires_us", BigInteger, nullable=False, comment="when it would have ended by itself"),
    comment="the sessions that were signed out of, and the sign-in links that were used",
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

log_positions = Table(
    "log_positions",
    metadata,
    Column("log", LargeBinary(16), primary_key=True),
    Column("position", BigInteger, nullable=False, comment="of the last row of the log that is in this ledger"),
    Column("updated_us", BigInteger, nullable=False, comment="when its recorder last wrote or kept it"),
    comment="how far each log of callbacks is recorded",
)

erasures = Table(
    "erasures",
    metadata,
    Column("id", Id, primary_key=True),
    Column("requested_us", BigInteger, nullable=False),
    Column("state", Text, nullable=False, comment="erasing, compacting, done, failed"),
    Column("sealed_number", LargeBinary, comment="as long as it is needed, encrypted with a key of the server secret"),
    Column("erased", Text, nullable=False, comment="JSON object: table -> rows"),
    Column(
        "kept_in", Text, nullable=False, server_default="[]", comment="JSON array: the settings that hold it, by name"
    ),
    Column("tries", Integer, nullable=False, server_default="0", comment="how often a worker has begun with it"),
    Column("failure", Text, comment="what keeps it from being done; null: nothing that is known"),
    Column("finished_us", BigInteger),
    comment="the requests to erase one person's number, which stay as receipts without it",
)
