"""What every command is."""

from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Command(msgspec.Struct, Generic[T], frozen=True, array_like=True, tag=True):
    """One thing to do, and (`result_type`) the type of what comes of it; each has `run`, which carries it out."""

    result_type: ClassVar[Any] = None


def now() -> datetime:
    """The time of what is carried out."""
    return datetime.now(UTC)
