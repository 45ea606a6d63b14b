"""What a driver's error means: the reason, whether to try again, whether the values themselves are at fault.

Only VALUE is the batch's own fault: such a batch is taken apart (`set_aside`). Every other reason is the ledger's, and
whoever wants to write waits and tries again.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from answerback.domain.phone_numbers import mask_text
from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.storage.sqlite_errors import sqlite_reason

VALUE_ERRORS = (OverflowError, UnicodeEncodeError, struct.error)
"""What drivers raise, apart from errors of their own, for a value that they cannot send."""


class DriverFailure(NamedTuple):
    """What an error comes to; `is_transient` where another try at once may go well."""

    reason: UnavailableReason
    is_transient: bool = False


_VALUE = DriverFailure(UnavailableReason.VALUE)
_UNKNOWN = DriverFailure(UnavailableReason.UNKNOWN)
_UNREACHABLE = DriverFailure(UnavailableReason.UNREACHABLE, is_transient=True)

_BY_SQLSTATE = {
    "08": _UNREACHABLE,
    "22": _VALUE,  # out of range, a character that the encoding has not
    "23": _VALUE,  # an integrity constraint
    "23505": _VALUE._replace(is_transient=True),  # another process was first with the same call
    "23514": _VALUE._replace(is_transient=True),  # a row of a month that was dropped
    "25006": DriverFailure(UnavailableReason.READ_ONLY, is_transient=True),  # it has become a standby
    "28": DriverFailure(UnavailableReason.DENIED),
    "3D": _UNREACHABLE._replace(is_transient=False),  # no such database
    "3F": DriverFailure(UnavailableReason.SCHEMA),
    "40": DriverFailure(UnavailableReason.BUSY, is_transient=True),  # serialization, deadlock
    "42": DriverFailure(UnavailableReason.SCHEMA),  # no such table or column
    "42501": DriverFailure(UnavailableReason.DENIED),
    "53": DriverFailure(UnavailableReason.BUSY),
    "53100": DriverFailure(UnavailableReason.DISK_FULL),
    "53300": DriverFailure(UnavailableReason.BUSY, is_transient=True),  # too many connections
    "54": _VALUE,  # too large for an index
    "55P03": DriverFailure(UnavailableReason.LOCKED, is_transient=True),
    "57014": DriverFailure(UnavailableReason.BUSY),  # a statement took too long
    "57P": _UNREACHABLE,  # the server stops, crashes or starts
    "58": DriverFailure(UnavailableReason.DISK_FAILED),
    "XX001": DriverFailure(UnavailableReason.DAMAGED),
    "XX002": DriverFailure(UnavailableReason.DAMAGED),
}
"""PostgreSQL's codes, by the longest beginning that is listed. Source: PostgreSQL's manual, appendix A."""


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's code of an error; None where it said none."""
    state: str | None = getattr(_driver_error(error), "sqlstate", None)
    return state


def classify(error: BaseException) -> DriverFailure:
    """What an error of a driver comes to."""
    if isinstance(error, LedgerUnavailable):
        return DriverFailure(error.reason)
    if isinstance(error, PoolTimeoutError):
        return DriverFailure(UnavailableReason.BUSY)
    original = _driver_error(error)
    if (state := sqlstate(error)) is not None:
        return next((_BY_SQLSTATE[state[:size]] for size in (5, 3, 2) if state[:size] in _BY_SQLSTATE), _UNKNOWN)
    if (reason := sqlite_reason(original)) is not None:
        return DriverFailure(reason)
    if isinstance(original, VALUE_ERRORS) or type(original).__name__ == "DataError":
        return _VALUE
    return _UNREACHABLE if type(original).__name__ in ("OperationalError", "InterfaceError") else _UNKNOWN


def to_unavailable(error: BaseException) -> LedgerUnavailable:
    """A driver's error as ours: its words, which may hold hosts, users and rows, are the detail."""
    return LedgerUnavailable(
        classify(error).reason, mask_text(f"{type(_driver_error(error)).__name__}: {_driver_error(error)}")
    )


@contextmanager
def translate_driver_errors(engine: Engine) -> Iterator[None]:
    """Raise a driver's errors as ours."""
    try:
        yield
    except (SQLAlchemyError, engine.dialect.loaded_dbapi.Error, *VALUE_ERRORS) as error:
        raise to_unavailable(error) from error


def _driver_error(error: BaseException) -> BaseException:
    """What the driver raised; SQLAlchemy wraps it."""
    return getattr(error, "orig", None) or error
