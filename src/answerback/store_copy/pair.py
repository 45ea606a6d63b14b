"""Open the two ledgers of a copy; the target is made where there is none yet, and held against a second copy."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from answerback.disk import require_durable_filesystem
from answerback.errors import ConfigError, LedgerUnavailable, StateConflict, UnavailableReason
from answerback.ledger import FILE_NAME, open_postgresql, open_sqlite
from answerback.ledger.admin.audit import CLI_ACTOR, AuditAction, record_event
from answerback.ledger.backends.postgresql.server import postgresql_engine, verify_durable
from answerback.ledger.backends.sqlite.engine import sqlite_engine
from answerback.store_copy.connection import StoreConnection
from answerback.store_copy.locations import StoreLocation
from answerback.store_copy.preflight import read_schema_version, require_schema

_LOCK_TIMEOUT_S = 10.0
_LOCK_NAME = "copy.lock"
_COPIES = 0x616E73_03
_LOCK_WAIT_S = 15.0  # the server needs a moment to see that a killed copy is gone
_RETRY_S = 0.2


@contextmanager
def open_pair(
    source: StoreLocation, target: StoreLocation, *, writes: bool, allow_unsafe: bool
) -> Iterator[tuple[StoreConnection, StoreConnection]]:
    """Both sides; without `writes` the target, too, is only read. Raises AnswerbackError in many ways."""
    if source == StoreLocation(source.option, target.path, target.url):
        raise ConfigError(f"{target.option}: it is the ledger that {source.option} names")
    with _open_store(source, writes=False) as ours:
        require_schema(ours)
        if writes:
            _ensure_ledger(target, allow_unsafe=allow_unsafe)
        with _open_store(target, writes=writes) as theirs:
            if not writes:
                yield ours, theirs
                return
            if theirs.on_postgresql:
                with theirs.transaction() as connection:
                    verify_durable(connection, allow_unsafe=allow_unsafe)
            with _exclusive(theirs):
                yield ours, theirs


@contextmanager
def _open_store(place: StoreLocation, *, writes: bool) -> Iterator[StoreConnection]:
    side = StoreConnection(place, _engine(place, new=False), writes=writes)
    try:
        yield side
    finally:
        side.close()


def record_copy(source: StoreLocation, target: StoreLocation) -> None:
    """Keep, in the ledger that is there, where its content goes. Raises LedgerUnavailable."""
    with _open_store(source, writes=True) as side, side.transaction() as connection:
        record_event(connection, CLI_ACTOR, AuditAction.LEDGER_COPIED, datetime.now(UTC), "to", str(target))


def _engine(place: StoreLocation, *, new: bool) -> Engine:
    if place.path is None:
        return postgresql_engine(str(place.url), writes=True)
    if not new and not place.path.is_file():
        raise ConfigError(f"{place.option}: there is no ledger at {place.path}")
    return sqlite_engine(place.path, _LOCK_TIMEOUT_S)


def _ensure_ledger(place: StoreLocation, *, allow_unsafe: bool) -> None:
    """See that there is a ledger, empty where there was none."""
    if place.path is not None:
        if place.path.name != FILE_NAME:
            raise ConfigError(
                f"{place.option}: a gateway serves {FILE_NAME} in its data directory: name that directory"
            )
        if not allow_unsafe:
            require_durable_filesystem(place.path.parent)
        if place.path.is_file() and _has_schema(place):
            return
        open_sqlite(place.path.parent, allow_unsafe_filesystem=allow_unsafe, new_ledger=True).close()
    elif not _has_schema(place):
        open_postgresql(str(place.url), allow_unsafe=allow_unsafe).close()


def _has_schema(place: StoreLocation) -> bool:
    with _open_store(place, writes=False) as side:
        return read_schema_version(side) is not None


@contextmanager
def _exclusive(target: StoreConnection) -> Iterator[None]:
    """Let no other copy into the target. Raises StateConflict."""
    if target.location.path is not None:
        with _file_lock(target.location, target.location.path.parent / _LOCK_NAME):
            yield
        return
    deadline_s = time.monotonic() + _LOCK_WAIT_S
    while not target.scalar(f"SELECT pg_try_advisory_lock({_COPIES})"):
        if time.monotonic() > deadline_s:
            raise _copy_in_progress(target.location)
        time.sleep(_RETRY_S)
    yield  # the lock is the session's, and ends with it


@contextmanager
def _file_lock(place: StoreLocation, path: Path) -> Iterator[None]:
    try:
        with path.open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError as error:
        raise _copy_in_progress(place) from error
    except OSError as error:
        raise LedgerUnavailable(UnavailableReason.READ_ONLY, f"{place.option}, {path}: {error.strerror}") from error


def _copy_in_progress(place: StoreLocation) -> StateConflict:
    return StateConflict(f"{place.option}, {place}: another copy into it is under way")
