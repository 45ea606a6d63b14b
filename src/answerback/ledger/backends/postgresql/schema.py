"""The schema as PostgreSQL has it: the tables that grow with every callback are cut by months.

A call's month is in its id (`ledger.months`), so all callbacks, deliveries and attempts of a call lie in partitions of one
month, and what is looked up by a call's id or a delivery's is looked for in one of them. `calls` itself is one table: a callid
is the fingerprint of a call for ever, and PostgreSQL keeps what is unique within a partition only.

No foreign keys: they would look into `calls` once for every row, and partitions could not be dropped one by one.
"""

import re

from sqlalchemy import Column, DefaultClause, Index, MetaData, PrimaryKeyConstraint, Table, Text, UniqueConstraint, text
from sqlalchemy.engine import Connection

from answerback.ledger import tables
from answerback.ledger.backends.postgresql.partition_ids import IDS_PER_MONTH, month_name

PARTITIONED = {"callbacks": "call_id", "deliveries": "call_id", "attempts": "delivery_id"}
"""The tables that are cut, each by the column whose ids have the month."""

COPIED_MONTH = 0
"""The month of ids that were counted from 1."""

_CHANNEL = "channel"
"""Last where something is unique: who looks for a call gives both, and the channel alone finds nearly all there are."""

_CACHE = "answerback.months"
_SCHEMA_LOCK = 0x616E73_01


def create(connection: Connection) -> None:
    """Make every table of the schema, and the partition for what is copied from elsewhere."""
    _physical().create_all(connection)
    ensure_partition(connection, COPIED_MONTH)


def ensure_partition(connection: Connection, month: int) -> None:
    """Make the partitions of a month where they are missing; callbacks can be stored meanwhile."""
    known = connection.info.setdefault(_CACHE, set())
    if month in known:
        return
    lock_schema(connection)
    there = _partition_names(connection)
    for table in PARTITIONED:
        if _partition_name(table, month) not in there:
            _create_partition(connection, table, month)
    known.add(month)


def clear_partition_cache(connection: Connection) -> None:
    """The transaction was undone, and partitions that it made with it."""
    connection.info.pop(_CACHE, None)


def lock_schema(connection: Connection) -> None:
    """Let nobody else change the schema before the transaction ends."""
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})"))


def drop_partition(connection: Connection, month: int) -> None:
    """Drop all callbacks, deliveries and attempts of a month at once."""
    for table in reversed(PARTITIONED):
        connection.execute(text(f"DROP TABLE IF EXISTS {_partition_name(table, month)}"))


def _create_partition(connection: Connection, table: str, month: int) -> None:
    """Made apart and attached, which locks the table for nobody; the check spares PostgreSQL to look through it."""
    name, first = _partition_name(table, month), month * IDS_PER_MONTH
    bounds = f"FROM ({first}) TO ({first + IDS_PER_MONTH})"
    connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)"))
    connection.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {bounds}"))


def list_partitions(connection: Connection) -> list[int]:
    bounds = text(
        "SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'callbacks'::regclass"
    )
    first = re.compile(r"FROM \('?(\d+)'?\)")
    found = [first.search(bound) for bound in connection.execute(bounds).scalars()]
    return sorted(int(match[1]) // IDS_PER_MONTH for match in found if match)


def can_create_partitions(connection: Connection) -> bool:
    """Whether this role owns the tables, and so may attach partitions to them."""
    owns = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'callbacks'::regclass"
    return bool(connection.execute(text(owns)).scalar_one())


def _partition_name(table: str, month: int) -> str:
    return f"{table}_{month_name(month)}"


def _partition_names(connection: Connection) -> set[str]:
    parents = ", ".join(f"'{table}'::regclass" for table in PARTITIONED)
    found = connection.execute(text(f"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent IN ({parents})"))  # noqa: S608  # our own names
    return set(found.scalars())


def _physical() -> MetaData:
    """The tables as they are made here: other keys where a table is cut, text that sorts by its bytes."""
    physical = MetaData(naming_convention=tables.metadata.naming_convention)
    for table in tables.metadata.sorted_tables:
        _copy(table, physical)
    return physical


def _copy(table: Table, physical: MetaData) -> None:
    cut_by = PARTITIONED.get(table.name)
    key = [column.name for column in table.primary_key.columns]
    if cut_by is not None:
        key += [cut_by]
    Table(
        table.name,
        physical,
        *(_column(column) for column in table.columns),
        PrimaryKeyConstraint(*key),
        *(
            UniqueConstraint(*sorted((column.name for column in constraint.columns), key=_CHANNEL.__eq__))
            for constraint in table.constraints
            if isinstance(constraint, UniqueConstraint)
        ),
        *(_index(index) for index in sorted(table.indexes, key=lambda index: str(index.name))),
        comment=table.comment,
        postgresql_partition_by=None if cut_by is None else f"RANGE ({cut_by})",
    )


def _column(column: "Column[object]") -> "Column[object]":
    kind = Text(collation="C") if isinstance(column.type, Text) else column.type
    counted = column.name == "id" and column.primary_key and column.autoincrement is not False
    return Column(
        column.name,
        kind,
        nullable=column.nullable,
        autoincrement=counted and not isinstance(column.type, Text),
        server_default=str(default.arg) if isinstance(default := column.server_default, DefaultClause) else None,
        comment=column.comment,
    )


def _index(index: Index) -> Index:
    where = index.dialect_options["sqlite"]["where"]
    return Index(index.name, *(column.name for column in index.columns), unique=index.unique, postgresql_where=where)
