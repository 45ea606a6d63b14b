"""Open the two ledgers of a copy; the target is made where there is none yet, and held against a second copy."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from answerback.errors import ConfigError
from answerback.ledger.admin.audit import CLI_ACTOR, AuditAction, record_event
from answerback.store_copy.connection import StoreConnection
from answerback.store_copy.locations import StoreLocation
from answerback.store_copy.postgresql import PostgreSQLConnection
from answerback.store_copy.preflight import require_schema
from answerback.store_copy.sqlite import SQLiteConnection


@contextmanager
def open_pair(
    source: StoreLocation, target: StoreLocation, *, writes: bool, allow_unsafe: bool
) -> Iterator[tuple[StoreConnection, StoreConnection]]:
    """Both sides; without `writes` the target, too, is only read. Raises AnswerbackError in many ways."""
    if source == StoreLocation(source.option, target.path, target.url):
        raise ConfigError(f"{target.option}: it is the ledger that {source.option} names")
    store = _store_of(target)
    with closing(_store_of(source)(source, writes=False)) as ours:
        require_schema(ours)
        if writes:
            store.ensure_ledger(target, allow_unsafe=allow_unsafe)
        with closing(store(target, writes=writes)) as theirs:
            if not writes:
                yield ours, theirs
                return
            with theirs.exclusive():
                yield ours, theirs


def record_copy(source: StoreLocation, target: StoreLocation) -> None:
    """Keep, in the ledger that is there, where its content goes. Raises LedgerUnavailable."""
    with closing(_store_of(source)(source, writes=True)) as side, side.transaction() as connection:
        record_event(connection, CLI_ACTOR, AuditAction.LEDGER_COPIED, datetime.now(UTC), "to", str(target))


def _store_of(place: StoreLocation) -> type[StoreConnection]:
    return PostgreSQLConnection if place.url else SQLiteConnection
