"""What every command is."""

from datetime import UTC, datetime
from typing import Generic, TypeVar

import msgspec

from answerback.ledger.ledger import Ledger

T = TypeVar("T")


class Command(msgspec.Struct, Generic[T], frozen=True, array_like=True, tag=True):
    """One thing to do, a value that can be sent; what its `run` is said to return is how the result is decoded."""

    def run(self, ledger: Ledger) -> T:
        raise NotImplementedError


def now() -> datetime:
    return datetime.now(UTC)
