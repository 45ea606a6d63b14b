"""SQLite or PostgreSQL: chosen in few places, each named here with its reason; what differs is in a class for each."""

import re
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "answerback"

ASKED = re.compile(
    r"\bdialect\.name\b|\.vendor\b|\b(?:on|is)_(?:postgresql|sqlite)\b|\b(?:not )?in \(\"sqlite|[!=]= \"(?:sqlite|postgresql)\""
)
"""How a program asks which database it has."""

CHOSEN_IN = {
    "ledger/backends/postgresql/server.py": "whether a URL is one of PostgreSQL",
    "ledger/backends/selection.py": "the dialect of a connection, and its statements",
    "ledger/factory.py": "the URL of a ledger",
    "receiver/django/store.py": "a store in the user's database",
    "receiver/sqlalchemy.py": "a store in the user's database",
    "store_copy/locations.py": "what an option names",
}


def test_a_backend_is_chosen_where_it_is_said() -> None:
    """No other module asks which database it works on."""
    asking = {
        path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if ASKED.search(path.read_text("utf-8"))
    }
    assert asking == CHOSEN_IN.keys()
