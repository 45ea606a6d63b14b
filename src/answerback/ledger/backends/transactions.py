"""What the ledger needs of a backend in order to write; each backend has its own."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy.engine import Connection

from answerback.storage.disk import SQLiteFiles

T = TypeVar("T")


class Transactions(Protocol):
    """How one backend writes."""

    def write(
        self,
        work: Callable[[Connection], T],
        on_rollback: Callable[[], None],
        *,
        shared: bool = False,
        idempotent: bool = False,
    ) -> T:
        """Do `work` in a transaction, committed when it returns; `on_rollback` is called each time it was not.

        Shared with others, if the backend can: `work` locks what it changes. `idempotent`: to do it twice does no harm.
        """

    @property
    def files(self) -> SQLiteFiles | None:
        """The files that it writes, where there are any."""

    def close(self) -> None:
        """Close the ledger's resources."""
