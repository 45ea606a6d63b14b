"""Which batches of a stream are in the ledger: one that comes once more changes nothing at all."""

from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.engine import Connection

from answerback.ledger.tables import consumed_batches


def claim_new(connection: Connection, published_us: Mapping[bytes, int]) -> set[bytes]:
    """The ids of those that the ledger does not hold yet; from now on it does, if the transaction commits.

    They go in sorted, so that of two recorders with the same batches one waits for the other.
    """
    if not published_us:
        return set()
    rows = [{"batch_id": id_, "published_us": published_us[id_]} for id_ in sorted(published_us)]
    insert = _dialect(connection).insert(consumed_batches).values(rows).on_conflict_do_nothing()
    return {bytes(id_) for id_ in connection.execute(insert.returning(consumed_batches.c.batch_id)).scalars()}


def forget(connection: Connection, ids: Collection[bytes]) -> None:
    """Hold these no longer; one that comes again is recorded."""
    if ids:
        connection.execute(delete(consumed_batches).where(consumed_batches.c.batch_id.in_(ids)))


def prune(connection: Connection, before_us: int, limit: int) -> int:
    """Forget up to `limit` of the batches published before `before_us`; how many there were."""
    old = (
        select(consumed_batches.c.batch_id)
        .where(consumed_batches.c.published_us < before_us)
        .order_by(consumed_batches.c.published_us)
    )
    ids = connection.execute(old.limit(limit)).scalars().all()
    forget(connection, ids)
    return len(ids)


def _dialect(connection: Connection) -> Any:
    """SQLAlchemy's module for what is the store's: the others need not be imported."""
    return import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
