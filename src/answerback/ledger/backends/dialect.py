"""What SQLite and PostgreSQL do differently, apart from statements over many rows, which are in `bulk_sql`."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from sqlalchemy import Table
from sqlalchemy.engine import Connection

from answerback.ledger.backends.postgresql.partition_ids import MAX_SEQUENCE
from answerback.ledger.types import Item


class Dialect(ABC):
    """One of the two. It keeps nothing: `selection.dialect_of` gives the one of a connection."""

    name: ClassVar[str]

    @abstractmethod
    def create_tables(self, connection: Connection) -> None:
        """Make everything that ledger/tables declares."""

    @abstractmethod
    def lock_schema(self, connection: Connection) -> None:
        """Let nobody else change the schema before the transaction ends."""

    @abstractmethod
    def now_us(self, connection: Connection) -> int:
        """The time that all processes on the ledger share."""

    @abstractmethod
    def storable_text(self, value: str) -> str:
        """`value` as the database can keep it."""

    @abstractmethod
    def storable_batch(self, batch: Sequence[Item]) -> Sequence[Item]:
        """`batch` with callbacks that the database can keep."""

    @abstractmethod
    def recent_ids(
        self, connection: Connection, table: Table, after: int = 0, until: int = MAX_SEQUENCE
    ) -> list[tuple[int, int]]:
        """The ranges of ids, each without its first, in which the numbers are over `after` and up to `until`."""

    @abstractmethod
    def current_writers(self, connection: Connection) -> frozenset[str]:
        """The transactions that write to the ledger now, and may have drawn numbers for rows; all end before they let go of the lock."""

    @abstractmethod
    def calls_with_last_ids(self, connection: Connection) -> set[int]:
        """The calls that must stay, with what belongs to them, as the ids of new rows are counted from theirs."""

    @abstractmethod
    def drop_empty_month(self, connection: Connection, before_us: int) -> bool:
        """Drop the tables of one month before that of `before_us` of which no call is left; False where there is none."""

    @abstractmethod
    def release_free_pages(self, connection: Connection) -> bool:
        """Give some of the free pages of a file back to the disk; False where there are no more than the next callbacks will need."""
