"""The way to the server: how it is connected to, and the check that its commit means stored.

Law 1 stands on the commit of a primary with fsync and full_page_writes on and synchronous_commit at least on. The second is
set for each of our sessions, the others are the server's and verified.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import Connection

from answerback.errors import ExtraMissing, LedgerUnavailable, LedgerUnsafe, UnavailableReason
from answerback.ledger.backends.driver_errors import closed_on_failure
from answerback.ledger.backends.postgresql.text import holds_nul, storable

if TYPE_CHECKING:
    import psycopg

OLDEST = 140_000
"""PostgreSQL 14, the oldest that its makers look after."""

_UNVERIFIED = ("disable", "allow", "prefer")
_CONNECT_TIMEOUT_S = 3
_STATEMENT_TIMEOUT_S = 30
_READERS = 5
_MOST_READERS = 40  # as many as threads that may ask
_ALIVE: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_SESSION = {
    "timezone": "UTC",
    "jit": "off",
    "statement_timeout": f"{_STATEMENT_TIMEOUT_S}s",
    "idle_in_transaction_session_timeout": "60s",
}
_BY_INDEX = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""The writer looks everything up by index. Left to itself the server would, for as long as it takes a new table for a small
one, read it through again and again, and keep to that plan."""


def is_postgresql(store: str) -> bool:
    """Whether this is the URL of a PostgreSQL database."""
    return store.startswith(("postgresql://", "postgres://"))


def spoken(store: str) -> str:
    """The URL without its password."""
    parts = urlsplit(store)
    _, _, hosts = parts.netloc.rpartition("@")
    user = parts.username
    return f"postgresql://{f'{user}@' if user else ''}{hosts}{parts.path}"


def postgresql_engine(store: str, *, writes: bool) -> Engine:
    """An engine for a database; with `writes` for one connection, which looks everything up by index.

    Raises ExtraMissing and LedgerUnsafe; what the server says to it comes with the first connection.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=connector(store),
        hide_parameters=True,  # parameters are people's numbers
        pool_size=1 if writes else _READERS,
        max_overflow=0 if writes else _MOST_READERS - _READERS,
        pool_pre_ping=not writes,
        isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
        use_native_hstore=False,  # or it asks for that type with the first connection
    )
    settings = _SESSION | (_BY_INDEX if writes else {})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        with closed_on_failure(connection), connection.cursor() as cursor:
            named = [part for setting in settings.items() for part in setting]
            cursor.execute("SELECT " + ", ".join(["set_config(%s, %s, false)"] * len(settings)), named)
            if writes:
                cursor.execute("SELECT current_setting('synchronous_commit')")
                if cursor.fetchone()[0] in ("off", "local"):
                    cursor.execute("SET synchronous_commit TO on")
        connection.commit()

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def _spell(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> tuple[str, Any]:
        return statement, storable(parameters) if holds_nul(parameters) else parameters

    return engine


def connector(store: str) -> "Callable[[], psycopg.Connection[Any]]":
    """What connects to the server that takes writes, of those that the URL names. Raises ExtraMissing, LedgerUnsafe."""
    try:
        import psycopg
    except ImportError as error:
        raise ExtraMissing("ledger.store: PostgreSQL needs psycopg: pip install 'answerback[postgresql]'") from error
    _check_authority(store)
    given: dict[str, Any] = {} if "target_session_attrs" in store else {"target_session_attrs": "read-write"}
    return partial(
        psycopg.connect,
        store,
        connect_timeout=_CONNECT_TIMEOUT_S,
        application_name="answerback",
        **_ALIVE,
        **given,
    )


def _check_authority(store: str) -> None:
    """Raise LedgerUnsafe for an authority that libpq would not look at."""
    asked = parse_qs(urlsplit(store).query)
    mode = asked.get("sslmode", [os.environ.get("PGSSLMODE", "prefer")])[-1]
    if mode in _UNVERIFIED and asked.get("sslrootcert", ["system"]) != ["system"]:  # that one means verify-full
        raise LedgerUnsafe(
            f"ledger.store: sslrootcert would not be used with sslmode={mode}: write sslmode=verify-full"
        )


def verify_durable(connection: Connection, *, allow_unsafe: bool) -> None:
    """Refuse a server that cannot hold what is asked of it. Raises LedgerUnsafe, LedgerUnavailable with the reason."""
    number = int(_setting(connection, "server_version_num"))
    if number < OLDEST:
        raise LedgerUnsafe(f"PostgreSQL {_setting(connection, 'server_version')} is too old: it takes 14 or newer")
    if _setting(connection, "server_encoding") != "UTF8":
        raise LedgerUnsafe("the database does not keep UTF-8: make it with ENCODING 'UTF8'")
    if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar():
        raise LedgerUnavailable(
            UnavailableReason.READ_ONLY,
            "the server is a standby, which takes no writes: name the primary, or all of them",
        )
    for name, harm in (("fsync", "a commit may be lost"), ("full_page_writes", "a crash may tear pages")):
        if _setting(connection, name) != "on" and not allow_unsafe:
            raise LedgerUnsafe(f"the server runs with {name}=off: {harm}; set it on, or set ledger.allow_unsafe_place")


def _setting(connection: Connection, name: str) -> str:
    value: str = connection.exec_driver_sql("SELECT current_setting(%s)", (name,)).scalar_one()
    return value
