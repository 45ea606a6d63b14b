"""What a check of settings and environment finds."""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from answerback.errors import AnswerbackError, LedgerUnavailable


class CheckLevel(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class CheckResult(msgspec.Struct, frozen=True):
    """What was checked, the result, and the remedy ("" if none is needed)."""

    check: str
    level: CheckLevel
    finding: str
    remedy: str


class Finding(NamedTuple):
    """What a check finds."""

    level: CheckLevel
    finding: str
    remedy: str


def ok(finding: str) -> Finding:
    return Finding(CheckLevel.OK, finding, "")


def warning(finding: str, remedy: str) -> Finding:
    return Finding(CheckLevel.WARNING, finding, remedy)


def problem(finding: str, remedy: str) -> Finding:
    return Finding(CheckLevel.ERROR, finding, remedy)


def format_bytes(size: int) -> str:
    """A size as people read it: 812 bytes, 64.0 MiB, 1.5 GiB."""
    for unit, name in ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size} bytes"


def describe_error(error: AnswerbackError) -> str:
    """An error with all that an operator may see of it."""
    return error.explanation if isinstance(error, LedgerUnavailable) else str(error)
