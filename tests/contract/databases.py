"""Databases that hold an empty ledger: copies of one, which may be emptied again."""

from contextlib import closing, suppress
from functools import cache
from pathlib import Path

import psycopg
from builders import NOON
from postgresql import shared_server
from sqlalchemy.engine import Connection

from answerback.errors import LedgerUnavailable
from answerback.ledger import Ledger, open_postgresql
from answerback.ledger.backends.postgresql.partitions import create_partitions

_KEPT = 20

_EMPTY = """
DO $$
DECLARE one record;
BEGIN
    SET LOCAL lock_timeout = '1s';
    FOR one IN SELECT oid::regclass AS name, pg_relation_size(oid) > 131072 AS large FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0
        AND relname NOT IN ('schema_revision', 'alembic_version') LOOP
        IF one.large THEN
            EXECUTE format('TRUNCATE %s', one.name);
        ELSE
            EXECUTE format('DELETE FROM %s WHERE xmin <> pg_current_xact_id()::xid', one.name);
        END IF;
    END LOOP;
    PERFORM setval(seqrelid, seqstart, false) FROM pg_sequence;
END $$
"""
"""A large table is truncated: what is only deleted still lies in the way of who reads. The mark of this very transaction
stays, or its ledger would leave none any more.
"""

_SCHEMA = """
SELECT array_agg(format('%s %s %s', relname, relkind, relnatts) ORDER BY relname),
    (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
    (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal),
    (SELECT version_num FROM schema_revision), (SELECT version_num FROM alembic_version)
FROM pg_class WHERE relnamespace = 'public'::regnamespace
"""


@cache
def _template() -> str:
    """The name of a database that holds an empty ledger."""
    url = shared_server().create_database()
    open_postgresql(url, allow_unsafe=True).close()
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


def emptied_database(ledger: Ledger) -> bool:
    """Take every row away; whether the schema is still that of `lent_database`, and nobody holds a row."""
    return _emptied(ledger) == _lent_template()[1]


def _emptied(ledger: Ledger) -> object:
    def work(connection: Connection, _: object) -> object:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute(_EMPTY)
        return driver.execute(_SCHEMA).fetchone()

    with suppress(LedgerUnavailable):
        return ledger.write(work)
    return None


def lent_database() -> str:
    """The URL of a new database with an empty ledger, in which the month of NOON is there."""
    return shared_server().create_database(_lent_template()[0])


@cache
def _lent_template() -> tuple[str, object]:
    """Its name, and its schema."""
    url = shared_server().create_database(_template())
    with closing(open_postgresql(url, allow_unsafe=True)) as ledger:
        ledger.write(lambda connection, _: create_partitions(connection, NOON, 1))
        return _name(url), _emptied(ledger)


def _name(url: str) -> str:
    return url.rpartition("/")[2]
