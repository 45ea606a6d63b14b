"""A PostgreSQL and its synchronous standby, either of which takes over from the other."""

from types import TracebackType
from typing import Any, Self

from postgresql import USER, PostgreSQL

DATABASE = "answerback"


class Pair:
    """Two servers of which one takes writes; as a context manager they are started, without a database, and closed at the end.

    The primary confirms no commit before the standby has it, so that nothing confirmed is lost by `fail_over`.
    """

    def __enter__(self) -> Self:
        self.primary = PostgreSQL.start()
        self.standby = self.primary.standby(synchronous=True)
        self._ports = (self.primary.port, self.standby.port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.standby.close()
        self.primary.close()

    @property
    def url(self) -> str:
        """The store, whichever of the two is the primary."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        return f"postgresql://{USER}@{hosts}/{DATABASE}?target_session_attrs=read-write"

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the primary."""
        return self.primary.execute(statement, DATABASE)

    def begin(self) -> None:
        """Have an empty database."""
        self.primary.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        self.primary.execute(f"CREATE DATABASE {DATABASE}")

    def mend(self) -> None:
        """Have both run again, whatever a test that failed half-way has left."""
        if not self.primary.up:
            self.primary.restart()
        self.primary.resume()
        if not self.standby.up:
            self.follow()

    def fail_over(self) -> None:
        """The primary is killed, and the standby takes over; there is no other standby then."""
        if self.primary.up:
            self.primary.kill()
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def follow(self) -> None:
        """What was killed comes back as the synchronous standby."""
        self.standby.follow(self.primary, synchronous=True)
