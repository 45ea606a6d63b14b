"""Open the two ledgers of a copy; the target is made where there is none yet, and held against a second copy."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from answerback.errors import ConfigError, Conflict, LedgerUnavailable, UnavailableReason
from answerback.ledger import FILE_NAME, open_database, open_ledger
from answerback.ledger.admin.audit import COMMAND_LINE, AuditAction, record_event
from answerback.ledger.backends.postgresql.server import postgresql_engine, verify_durable
from answerback.ledger.backends.sqlite.engine import refuse_unsafe_place, sqlite_engine
from answerback.store_copy.connection import Side
from answerback.store_copy.locations import Place
from answerback.store_copy.preflight import require_schema, schema_of

_LOCK_TIMEOUT_S = 10.0
_LOCK_NAME = "copy.lock"
_COPIES = 0x616E73_03
_HELD_S = 15.0  # the server needs a moment to see that a killed copy is gone
_AGAIN_S = 0.2


@contextmanager
def opened(source: Place, target: Place, *, writes: bool, allow_unsafe: bool) -> Iterator[tuple[Side, Side]]:
    """Both sides; without `writes` the target, too, is only read. Raises AnswerbackError in many ways."""
    if source == Place(source.option, target.path, target.store):
        raise ConfigError(f"{target.option}: it is the ledger that {source.option} names")
    with _side(source, writes=False) as ours:
        require_schema(ours)
        if writes:
            _make(target, allow_unsafe=allow_unsafe)
        with _side(target, writes=writes) as theirs:
            if not writes:
                yield ours, theirs
                return
            if theirs.on_postgresql:
                with theirs.transaction() as connection:
                    verify_durable(connection, allow_unsafe=allow_unsafe)
            with _held(theirs):
                yield ours, theirs


@contextmanager
def _side(place: Place, *, writes: bool) -> Iterator[Side]:
    side = Side(place, _engine(place, new=False), writes=writes)
    try:
        yield side
    finally:
        side.close()


def record_copy(source: Place, target: Place) -> None:
    """Keep, in the ledger that is there, where its content goes. Raises LedgerUnavailable."""
    with _side(source, writes=True) as side, side.transaction() as connection:
        record_event(connection, COMMAND_LINE, AuditAction.LEDGER_COPIED, datetime.now(UTC), "to", str(target))


def _engine(place: Place, *, new: bool) -> Engine:
    if place.path is None:
        return postgresql_engine(str(place.store), writes=True)
    if not new and not place.path.is_file():
        raise ConfigError(f"{place.option}: there is no ledger at {place.path}")
    return sqlite_engine(place.path, _LOCK_TIMEOUT_S)


def _make(place: Place, *, allow_unsafe: bool) -> None:
    """See that there is a ledger, empty where there was none."""
    if place.path is not None:
        if place.path.name != FILE_NAME:
            raise ConfigError(
                f"{place.option}: a gateway serves {FILE_NAME} in its data directory: name that directory"
            )
        if not allow_unsafe:
            refuse_unsafe_place(place.path.parent)
        if place.path.is_file() and _has_schema(place):
            return
        open_ledger(place.path.parent, allow_unsafe_place=allow_unsafe, new_ledger=True).close()
    elif not _has_schema(place):
        open_database(str(place.store), allow_unsafe=allow_unsafe).close()


def _has_schema(place: Place) -> bool:
    with _side(place, writes=False) as side:
        return schema_of(side) is not None


@contextmanager
def _held(target: Side) -> Iterator[None]:
    """Let no other copy into the target. Raises Conflict."""
    if target.place.path is not None:
        with _locked(target.place, target.place.path.parent / _LOCK_NAME):
            yield
        return
    deadline_s = time.monotonic() + _HELD_S
    while not target.scalar(f"SELECT pg_try_advisory_lock({_COPIES})"):
        if time.monotonic() > deadline_s:
            raise _busy(target.place)
        time.sleep(_AGAIN_S)
    yield  # the lock is the session's, and ends with it


@contextmanager
def _locked(place: Place, path: Path) -> Iterator[None]:
    try:
        with path.open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError as error:
        raise _busy(place) from error
    except OSError as error:
        raise LedgerUnavailable(UnavailableReason.READ_ONLY, f"{place.option}, {path}: {error.strerror}") from error


def _busy(place: Place) -> Conflict:
    return Conflict(f"{place.option}, {place}: another copy into it is under way")
