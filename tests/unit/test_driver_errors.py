"""What a driver's error comes to; that a document tells of every reason."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from answerback.errors import UnavailableReason
from answerback.ledger.backends.driver_errors import classify, to_unavailable

DOCS = Path(__file__).parents[2] / "docs"
NUMBER = "13788888888"


class FromServer(Exception):
    """An error of PostgreSQL's, by its code."""

    def __init__(self, state: str | None, words: str = "") -> None:
        self.sqlstate = state
        super().__init__(words)


@pytest.mark.parametrize(
    ("state", "reason", "passes"),
    [
        ("22003", "VALUE", False),
        ("22P05", "VALUE", False),
        ("23502", "VALUE", False),
        ("23505", "VALUE", True),
        ("54000", "VALUE", False),
        ("40001", "BUSY", True),
        ("40P01", "BUSY", True),
        ("53100", "DISK_FULL", False),
        ("53300", "BUSY", True),
        ("55P03", "LOCKED", True),
        ("57014", "BUSY", False),
        ("57P01", "UNREACHABLE", True),
        ("08006", "UNREACHABLE", True),
        ("25006", "READ_ONLY", True),
        ("28P01", "DENIED", False),
        ("42501", "DENIED", False),
        ("42P01", "SCHEMA", False),
        ("58030", "DISK_FAILED", False),
        ("XX001", "DAMAGED", False),
        ("P0001", "UNKNOWN", False),
    ],
)
def test_a_server_s_code_has_a_meaning(state: str, reason: str, *, passes: bool) -> None:
    """Only what is the values' own fault is VALUE; what passes is tried again at once."""
    assert classify(FromServer(state)) == (UnavailableReason[reason], passes)


def sqlite_error(sql: str, *values: object) -> Exception:
    """What SQLite raises."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (a INTEGER NOT NULL)")
        with pytest.raises(Exception) as raised:  # noqa: PT011  # whatever it is
            connection.execute(sql, values)
    return raised.value


@pytest.mark.parametrize(
    ("sql", "values", "reason"),
    [
        ("INSERT INTO t VALUES (?)", (None,), "VALUE"),
        ("INSERT INTO t VALUES (?)", (2**63,), "VALUE"),
        ("INSERT INTO t VALUES (?)", ("\ud800",), "VALUE"),
        ("SELECT * FROM missing", (), "SCHEMA"),
        ("SELECT b FROM t", (), "SCHEMA"),
    ],
)
def test_an_error_of_sqlite_has_a_meaning(sql: str, values: tuple[object, ...], reason: str) -> None:
    """Also where Python's driver raises an error that is none of the database's."""
    assert classify(sqlite_error(sql, *values)) == (UnavailableReason[reason], False)


def test_the_driver_s_words_stay_behind() -> None:
    """The text has the reason alone; the detail is one line, and has no number."""
    words = f"value out of range\nDETAIL:  Failing row contains (default, {NUMBER}) at db1"
    reported = to_unavailable(FromServer("22003", words))
    assert str(reported) == "the ledger cannot store a value"
    assert "db1" in reported.detail
    assert NUMBER not in reported.detail
    assert "\n" not in reported.detail


@pytest.mark.parametrize("page", ["operations.md", "operations.zh-CN.md"])
@pytest.mark.parametrize("reason", UnavailableReason)
def test_every_reason_is_documented(reason: UnavailableReason, page: str) -> None:
    """The page says what to do about it."""
    assert f"`{reason}`" in (DOCS / page).read_text(encoding="utf-8")
