"""How the other packages have the ledger written and read."""

import asyncio
from collections.abc import Callable, Collection
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy.engine import Connection

from answerback.errors import LedgerUnavailable
from answerback.ledger.commands import Command

P = ParamSpec("P")
T = TypeVar("T")


class LedgerClient(Protocol):
    """The ledger's writer, or one that traces what it does: commands are carried out in the order of the calls."""

    @property
    def saturated(self) -> Collection[int]:
        """Endpoints for which no more jobs can be taken now."""

    @property
    def failure(self) -> LedgerUnavailable | None:
        """Why no command is carried out now; None where they are, as far as is known."""

    def execute(self, command: Command[T]) -> "asyncio.Future[T]":
        """Have `command` carried out; the future has its result, after the commit.

        LedgerUnavailable, raised or in the future: nothing was done, or it is not known; else the command's own errors.
        """


class LedgerReader(Protocol):
    """The ledger's reading side."""

    def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do `work`, which only reads, with a connection and these arguments. Blocks. Raises LedgerUnavailable."""
