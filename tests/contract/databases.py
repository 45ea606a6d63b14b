"""Databases that hold an empty ledger: copies of one, and such as one test after the other has, emptied in between."""

import atexit
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path

import psycopg
from builders import NOON
from postgresql import shared_server

from answerback.ledger import open_database, retention

_KEPT = 20

_EMPTY = """
DO $$
DECLARE one regclass;
BEGIN
    FOR one IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        AND relname NOT IN ('schema_revision', 'alembic_version') LOOP
        EXECUTE format('DELETE FROM %s', one);
    END LOOP;
    PERFORM setval(seqrelid, seqstart, false) FROM pg_sequence;
END $$
"""

_SCHEMA = """
SELECT array_agg(format('%s %s %s %s', relname, relkind, relnatts, relhastriggers) ORDER BY relname),
    (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
    (SELECT version_num FROM schema_revision), (SELECT version_num FROM alembic_version)
FROM pg_class WHERE relnamespace = 'public'::regnamespace
"""


@cache
def _template() -> str:
    """The name of a database that holds an empty ledger."""
    url = shared_server().create_database()
    open_database(url, allow_unsafe=True).close()
    return _name(url)


_databases: list[str] = []


@cache
def ledger_database(_place: Path) -> str:
    """The URL of the database, an empty ledger at first, that stands for a directory; old ones are dropped."""
    server = shared_server()
    if len(_databases) >= _KEPT:
        with suppress(psycopg.Error):
            server.drop_database(_databases.pop(0))
    _databases.append(server.create_database(_template()))
    return _databases[-1]


class _Lent:
    """A database that one test after the other has, and a connection by which it is emptied in between."""

    def __init__(self, template: str) -> None:
        self.url = shared_server().create_database(template)
        self._connection = psycopg.connect(self.url, autocommit=True, options="-c lock_timeout=1s")
        atexit.register(self.close)

    def emptied(self) -> object:
        """Take every row away, and tell the schema; None where somebody still holds a row."""
        try:
            self._connection.execute(_EMPTY)
            return self._connection.execute(_SCHEMA).fetchone()
        except psycopg.Error:
            return None

    def close(self) -> None:
        """Leave it as it is."""
        self._connection.close()


_free: list[_Lent] = []


@contextmanager
def lent_database() -> Iterator[str]:
    """The URL of a database with an empty ledger, in which the month of NOON is there; it is emptied for the next test.

    What was opened of it must be closed by the end. One whose schema was changed is dropped.
    """
    template, schema = _lent_template()
    lent = _free.pop() if _free else _Lent(template)
    yield lent.url
    if lent.emptied() == schema:
        _free.append(lent)
    else:
        lent.close()
        shared_server().drop_database(lent.url)


@cache
def _lent_template() -> tuple[str, object]:
    """Its name, and its schema."""
    lent = _Lent(_template())
    with closing(open_database(lent.url, allow_unsafe=True)) as ledger:
        ledger.write(lambda connection, _: retention.make_months(connection, NOON, 1))
    schema = lent.emptied()
    lent.close()
    return _name(lent.url), schema


def _name(url: str) -> str:
    return url.rpartition("/")[2]
