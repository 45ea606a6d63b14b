"""How the other packages have the ledger written and read."""

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol, TypeVar

from sqlalchemy.engine import Connection

from answerback.ledger.commands import Request

T = TypeVar("T")


class LedgerClient(Protocol):
    """The ledger's writer, or one that traces what it does: requests are carried out in the order of the calls."""

    @property
    def full(self) -> Collection[int]:
        """Endpoints for which no more jobs can be taken now."""

    def ask(self, request: Request[T]) -> "asyncio.Future[T]":
        """Have `request` carried out; the future tells what came of it, after the commit.

        LedgerUnavailable, raised or in the future: nothing was done, or it is not known; else the request's own errors.
        """


class LedgerReader(Protocol):
    """The ledger's reading side."""

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do `work`, which only reads. Blocks. Raises LedgerUnavailable."""
