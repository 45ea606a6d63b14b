"""What SQLite's result codes mean; for whoever uses SQLite, with SQLAlchemy or without."""

import sqlite3

from answerback.errors import LedgerUnavailable, UnavailableReason

_BY_CODE = {
    3: UnavailableReason.READ_ONLY,  # PERM
    5: UnavailableReason.LOCKED,  # BUSY
    6: UnavailableReason.LOCKED,
    7: UnavailableReason.BUSY,  # NOMEM
    8: UnavailableReason.READ_ONLY,
    10: UnavailableReason.DISK_FAILED,  # IOERR
    11: UnavailableReason.DAMAGED,  # CORRUPT
    13: UnavailableReason.DISK_FULL,
    14: UnavailableReason.UNREACHABLE,  # CANTOPEN
    15: UnavailableReason.LOCKED,  # PROTOCOL
    17: UnavailableReason.SCHEMA,
    18: UnavailableReason.VALUE,  # TOOBIG
    19: UnavailableReason.VALUE,  # CONSTRAINT
    20: UnavailableReason.VALUE,  # MISMATCH
    26: UnavailableReason.DAMAGED,  # NOTADB
}
"""The primary result codes. Source: sqlite.org/rescode.html."""

_PRIMARY_CODE_MASK = 0xFF
_NO_SUCH_PREFIX = "no such "  # table or column: SQLite has no code of its own for it


def sqlite_reason(error: BaseException) -> UnavailableReason | None:
    """What an error of the sqlite3 module comes to; None for one that carries no code."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    if (reason := _BY_CODE.get(code & _PRIMARY_CODE_MASK)) is not None:
        return reason
    return UnavailableReason.SCHEMA if str(error).startswith(_NO_SUCH_PREFIX) else UnavailableReason.UNKNOWN


def sqlite_unavailable(error: sqlite3.Error, place: object) -> LedgerUnavailable:
    """An error of the sqlite3 module as ours; `place` names the file."""
    return LedgerUnavailable(
        sqlite_reason(error) or UnavailableReason.UNKNOWN, f"{place}: {type(error).__name__}: {error}"
    )
