"""What a driver's error means: the reason that is told, whether to try again, whether the values themselves are at fault.

Only VALUE is the batch's own fault: such a batch is taken apart (`set_aside`). Every other reason is the ledger's, and
whoever wants to write waits and tries again.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from answerback.domain.phone_numbers import mask_text
from answerback.errors import LedgerUnavailable, UnavailableReason

VALUE_ERRORS = (OverflowError, UnicodeEncodeError, struct.error)
"""What drivers raise, beside errors of their own, for a value that they cannot send."""


class Closable(Protocol):
    """A connection, the driver's or ours."""

    def close(self) -> None:
        """Let go of it."""


class Meaning(NamedTuple):
    """What an error comes to; `passes` where another try at once may go well."""

    reason: UnavailableReason
    passes: bool = False


_VALUE = Meaning(UnavailableReason.VALUE)
_UNKNOWN = Meaning(UnavailableReason.UNKNOWN)
_UNREACHABLE = Meaning(UnavailableReason.UNREACHABLE, passes=True)

_BY_SQLSTATE = {
    "08": _UNREACHABLE,
    "22": _VALUE,  # out of range, a character that the encoding has not
    "23": _VALUE,  # an integrity constraint
    "23505": _VALUE._replace(passes=True),  # another process was first with the same call
    "23514": _VALUE._replace(passes=True),  # a month that was let go comes up once more
    "25006": Meaning(UnavailableReason.READ_ONLY, passes=True),  # it has become a standby
    "28": Meaning(UnavailableReason.DENIED),
    "3D": _UNREACHABLE._replace(passes=False),  # no such database
    "3F": Meaning(UnavailableReason.SCHEMA),
    "40": Meaning(UnavailableReason.BUSY, passes=True),  # serialization, deadlock
    "42": Meaning(UnavailableReason.SCHEMA),  # no such table or column
    "42501": Meaning(UnavailableReason.DENIED),
    "53": Meaning(UnavailableReason.BUSY),
    "53100": Meaning(UnavailableReason.DISK_FULL),
    "53300": Meaning(UnavailableReason.BUSY, passes=True),  # too many connections
    "54": _VALUE,  # too large for an index
    "55P03": Meaning(UnavailableReason.LOCKED, passes=True),
    "57014": Meaning(UnavailableReason.BUSY),  # a statement took too long
    "57P": _UNREACHABLE,  # the server stops, crashes or starts
    "58": Meaning(UnavailableReason.DISK_FAILED),
    "XX001": Meaning(UnavailableReason.DAMAGED),
    "XX002": Meaning(UnavailableReason.DAMAGED),
}
"""PostgreSQL's codes, by the longest beginning that is listed. Source: PostgreSQL's manual, appendix A."""

_BY_SQLITE_CODE = {
    3: Meaning(UnavailableReason.READ_ONLY),  # PERM
    5: Meaning(UnavailableReason.LOCKED),  # BUSY
    6: Meaning(UnavailableReason.LOCKED),
    7: Meaning(UnavailableReason.BUSY),  # NOMEM
    8: Meaning(UnavailableReason.READ_ONLY),
    10: Meaning(UnavailableReason.DISK_FAILED),  # IOERR
    11: Meaning(UnavailableReason.DAMAGED),  # CORRUPT
    13: Meaning(UnavailableReason.DISK_FULL),
    14: Meaning(UnavailableReason.UNREACHABLE),  # CANTOPEN
    15: Meaning(UnavailableReason.LOCKED),  # PROTOCOL
    17: Meaning(UnavailableReason.SCHEMA),
    18: _VALUE,  # TOOBIG
    19: _VALUE,  # CONSTRAINT
    20: _VALUE,  # MISMATCH
    26: Meaning(UnavailableReason.DAMAGED),  # NOTADB
}
"""SQLite's primary result codes. Source: sqlite.org/rescode.html."""

_PRIMARY = 0xFF
_NO_SUCH = "no such "  # table or column: SQLite has no code of its own for it


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's code of an error; None where it said none."""
    state: str | None = getattr(_of_driver(error), "sqlstate", None)
    return state


def meaning(error: BaseException) -> Meaning:
    """What an error of a driver comes to."""
    if isinstance(error, LedgerUnavailable):
        return Meaning(error.reason)
    if isinstance(error, PoolTimeoutError):
        return Meaning(UnavailableReason.BUSY)
    original = _of_driver(error)
    if (state := sqlstate(error)) is not None:
        return next((_BY_SQLSTATE[state[:size]] for size in (5, 3, 2) if state[:size] in _BY_SQLSTATE), _UNKNOWN)
    if (code := getattr(original, "sqlite_errorcode", None)) is not None:
        found = _BY_SQLITE_CODE.get(code & _PRIMARY, _UNKNOWN)
        return Meaning(UnavailableReason.SCHEMA) if found is _UNKNOWN and str(original).startswith(_NO_SUCH) else found
    if isinstance(original, VALUE_ERRORS) or type(original).__name__ == "DataError":
        return _VALUE
    return _UNREACHABLE if type(original).__name__ in ("OperationalError", "InterfaceError") else _UNKNOWN


def unavailable(error: BaseException) -> LedgerUnavailable:
    """A driver's error as ours: its words, which may hold hosts, users and rows, are the detail."""
    return LedgerUnavailable(
        meaning(error).reason, mask_text(f"{type(_of_driver(error)).__name__}: {_of_driver(error)}")
    )


@contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Raise a driver's errors as ours."""
    try:
        yield
    except (SQLAlchemyError, engine.dialect.loaded_dbapi.Error, *VALUE_ERRORS) as error:
        raise unavailable(error) from error


@contextmanager
def closed_on_failure(connection: Closable) -> Iterator[None]:
    """Close a connection that cannot be made ready: nobody else knows of it yet."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _of_driver(error: BaseException) -> BaseException:
    """What the driver raised; SQLAlchemy wraps it."""
    return getattr(error, "orig", None) or error
