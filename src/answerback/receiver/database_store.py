"""What the stores in a database of the user's have in common. Its tables are made by the user's own migrations, which is why there are no triggers."""

import os
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from answerback.domain.models import ParsedCallback, RejectedCallback
from answerback.errors import ConfigError, LedgerUnavailable, UnavailableReason
from answerback.receiver.sql_store import (
    BLOCKED,
    REJECT,
    SQLConnection,
    SQLStore,
    comma_separated,
    rejected_row,
    seconds_to_us,
    to_us,
)
from answerback.storage.sqlite_errors import sqlite_reason

_RECORD = f"""
    INSERT INTO answerback_callbacks (channel, callid, fingerprint, raw, received_us, due_us, duplicates, failures)
    VALUES (:channel, :callid, :fingerprint, :raw, :received_us, {BLOCKED}, 0, 0)
    ON CONFLICT (fingerprint) DO UPDATE SET duplicates = answerback_callbacks.duplicates + 1,
        due_us = coalesce(answerback_callbacks.due_us, {BLOCKED})
"""  # noqa: S608  # a number
_RELEASE = f"""
    UPDATE answerback_callbacks SET due_us = :now WHERE id IN (
        SELECT min(id) FROM answerback_callbacks WHERE due_us IS NOT NULL {{where}}
        GROUP BY channel, callid HAVING min(due_us) = {BLOCKED}
    )
"""  # noqa: S608  # a number
_OF_CALLS = "AND (channel, callid) IN (SELECT channel, callid FROM answerback_callbacks WHERE {these})"
_REASONS = {
    "DataError": UnavailableReason.VALUE,
    "IntegrityError": UnavailableReason.VALUE,
    "InterfaceError": UnavailableReason.UNREACHABLE,
    "OperationalError": UnavailableReason.UNREACHABLE,
    "ProgrammingError": UnavailableReason.SCHEMA,
}
"""By the classes that all drivers have. Source: PEP 249."""


class DatabaseKind(NamedTuple):
    """What a sort of database does in its own way."""

    isolation: str
    read_synchronous: str
    """Reads the setting by which a commit is on the disk, or not."""
    unsafe: Mapping[object, str]
    """The values of it with which it may not be, and their names."""
    safe: str
    lock: str | None = None
    """Lets one write at a time."""
    locking: str = ""
    """Ends a query for rows that nobody else is to take."""


_DATABASES = {
    "sqlite": DatabaseKind("SERIALIZABLE", "PRAGMA synchronous", {0: "OFF", 1: "NORMAL"}, "FULL"),
    "postgresql": DatabaseKind(
        "READ COMMITTED",
        "SHOW synchronous_commit",
        {"off": "off"},
        "on",
        lock="SELECT pg_advisory_xact_lock(4702111234474983745)",  # "ABrcALLA", a number of ours alone
        locking="FOR UPDATE SKIP LOCKED",
    ),
}


class BatchConnection(SQLConnection, Protocol):
    """Runs a statement several times, too."""

    def executemany(self, statement: str, values: Sequence[Mapping[str, object]], /) -> object:
        """Run the statement with each of `values`."""


class DatabaseStore(SQLStore):
    """Callbacks in a database of the user's: SQLite or PostgreSQL."""

    def __init__(self, vendor: str, *, keep_days: float | None, max_rejected: int, lease_s: float) -> None:
        super().__init__(keep_days=keep_days, max_rejected=max_rejected, lease_s=lease_s)
        if vendor not in _DATABASES:
            raise ConfigError(f"store: expected a database of SQLite or PostgreSQL, got {vendor}")
        self._database = _DATABASES[vendor]
        self._locking = self._database.locking
        self._checked_pid: int | None = None

    @abstractmethod
    def _recording(self) -> AbstractContextManager[BatchConnection]:
        """A connection in a transaction of its own, which is committed in the end. Raises LedgerUnavailable."""

    @abstractmethod
    def _delivering(self) -> AbstractContextManager[BatchConnection]: ...

    def record(self, batch: Sequence[ParsedCallback | RejectedCallback]) -> None:
        now_us = seconds_to_us(time.time())
        parsed = [one for one in batch if isinstance(one, ParsedCallback)]
        rejected = [rejected_row(one, self._max_rejected) for one in batch if isinstance(one, RejectedCallback)]
        if self._checked_pid != os.getpid():
            self._check()
        with self._recording() as connection:
            self._lock(connection)
            if parsed:  # first: on SQLite a transaction must begin with a write
                connection.executemany(_RECORD, [_row(one) for one in parsed])
                values = {f"f{number}": one.fingerprint for number, one in enumerate(parsed)}
                these = f"fingerprint IN ({', '.join(f':{name}' for name in values)})"
                where = _OF_CALLS.format(these=these)
                connection.execute(_RELEASE.format(where=where), {**values, "now": now_us})
            if rejected:
                connection.executemany(REJECT, rejected)

    def _lock(self, connection: SQLConnection) -> None:
        if self._database.lock is not None:
            connection.execute(self._database.lock, {})

    def _release(self, connection: SQLConnection, now_us: int, ended: Sequence[int] = ()) -> None:
        where = _OF_CALLS.format(these=f"id IN ({comma_separated(ended)})") if ended else ""
        connection.execute(_RELEASE.format(where=where), {"now": now_us})

    def _check(self) -> None:
        """Raises LedgerUnavailable where a commit may be lost: what is answered has to be safe."""
        with self._recording() as connection:
            ((synchronous,),) = connection.execute(self._database.read_synchronous, {}).fetchall()
        if found := self._database.unsafe.get(synchronous):
            name = self._database.read_synchronous.split()[-1]
            raise LedgerUnavailable(UnavailableReason.UNSAFE, f"{name} is {found}, expected {self._database.safe}")
        self._checked_pid = os.getpid()


def database_unavailable(error: Exception, original: BaseException | None) -> LedgerUnavailable:
    """An error of a library's as ours; `original` is the driver's, where there is one."""
    cause = original or error
    reason = sqlite_reason(cause) or _REASONS.get(type(error).__name__, UnavailableReason.UNKNOWN)
    return LedgerUnavailable(reason, f"{type(cause).__name__}: {cause}")


def _row(received: ParsedCallback) -> Mapping[str, object]:
    return {
        "channel": received.channel,
        "callid": received.callback.callid,
        "fingerprint": received.fingerprint,
        "raw": received.raw,
        "received_us": to_us(received.received_at),
    }
