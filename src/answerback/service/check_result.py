"""What a check of settings and environment finds."""

from enum import StrEnum

import msgspec

from answerback.errors import AnswerbackError, LedgerUnavailable


class CheckLevel(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "bad"


class CheckResult(msgspec.Struct, frozen=True):
    """What was checked, the result, and the remedy ("" if none is needed)."""

    check: str
    level: CheckLevel
    finding: str
    remedy: str = ""


def describe_error(error: AnswerbackError) -> str:
    """An error with all that an operator may see of it."""
    return error.explanation if isinstance(error, LedgerUnavailable) else str(error)
