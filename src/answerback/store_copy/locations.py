"""Where a ledger is, as it is named on the command line: `sqlite:` and a path, or the URL of a database."""

from pathlib import Path

import msgspec

from answerback.errors import ConfigError
from answerback.ledger import FILE_NAME
from answerback.ledger.backends.postgresql.server import is_postgresql, spoken

_SQLITE = "sqlite:"


class Place(msgspec.Struct, frozen=True):
    """A SQLite file, or the URL of a PostgreSQL database; `option` named it."""

    option: str
    path: Path | None = None
    store: str | None = None

    def __str__(self) -> str:
        """In words that hold no secret."""
        return f"{_SQLITE}{self.path}" if self.store is None else spoken(self.store)

    def __repr__(self) -> str:
        return f"Place({self})"

    @property
    def serving(self) -> str:
        """The option of `answerback serve` for it."""
        return f"--data-dir {self.path.parent}" if self.path is not None else f"--store {self}"


def place_of(option: str, text: str) -> Place:
    """Read what `option` names: a data directory, the file in it, or a database. Raises ConfigError."""
    if is_postgresql(text):
        return Place(option, store=text)
    if not text.startswith(_SQLITE) or text == _SQLITE:
        kind = text.partition(":")[0] if ":" in text else "no kind"
        raise ConfigError(f"{option}: expected sqlite:<data directory> or postgresql://user@host/database, not {kind}")
    path = Path(text.removeprefix(_SQLITE)).expanduser().resolve()
    is_file = path.is_file() or path.suffix == ".db"
    return Place(option, path=path if is_file else path / FILE_NAME)
