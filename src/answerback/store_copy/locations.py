"""Where a ledger is, as it is named on the command line: `sqlite:` and a path, or the URL of a database."""

from pathlib import Path

import msgspec

from answerback.errors import ConfigError, StateConflict
from answerback.ledger import LEDGER_FILE
from answerback.ledger.backends.postgresql.server import is_postgresql, redact_url

_SQLITE = "sqlite:"


class StoreLocation(msgspec.Struct, frozen=True):
    """The SQLite file at `path`, or the PostgreSQL database at `url`; `option` named it."""

    option: str
    path: Path = Path()
    url: str = ""

    def __str__(self) -> str:
        """In words that hold no secret."""
        return f"{_SQLITE}{self.path}" if not self.url else redact_url(self.url)

    def __repr__(self) -> str:
        return f"StoreLocation({self})"

    @property
    def serve_option(self) -> str:
        """The option of `answerback serve` for it."""
        return f"--data-dir {self.path.parent}" if not self.url else f"--database-url {self}"

    def copy_in_progress(self) -> StateConflict:
        return StateConflict(f"{self.option}, {self}: another copy into it is under way")


def parse_location(option: str, text: str) -> StoreLocation:
    """Read what `option` names: a data directory, the file in it, or a database. Raises ConfigError."""
    if is_postgresql(text):
        return StoreLocation(option, url=text)
    if not text.startswith(_SQLITE) or text == _SQLITE:
        kind = text.partition(":")[0] if ":" in text else "no kind"
        raise ConfigError(f"{option}: expected sqlite:<data directory> or postgresql://user@host/database, not {kind}")
    path = Path(text.removeprefix(_SQLITE)).expanduser().resolve()
    is_file = path.is_file() or path.suffix == ".db"
    return StoreLocation(option, path=path if is_file else path / LEDGER_FILE)
