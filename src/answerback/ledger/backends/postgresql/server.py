"""The way to the server: how it is connected to, and the check that its commit means stored.

Law 1 stands on the commit of a primary with fsync and full_page_writes on and synchronous_commit at least on. The second is
set for each of our sessions, the others are the server's and verified.
"""

import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from weakref import WeakSet

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import Connection

from answerback.errors import LedgerUnavailable, MissingExtra, UnavailableReason, UnsafeStorage
from answerback.ledger.backends.postgresql.text import contains_nul, replace_nul
from answerback.storage.connections import close_on_failure

if TYPE_CHECKING:
    import psycopg

for _driver in ("psycopg", "sqlalchemy.pool"):  # what they say of a connection that breaks is raised as well
    logging.getLogger(_driver).setLevel(logging.CRITICAL)

MIN_VERSION = 140_000
"""PostgreSQL 14, the oldest that its makers look after."""

_UNVERIFIED_SSL_MODES = ("disable", "allow", "prefer")
_STATEMENT_TIMEOUT_S = 30
_READ_POOL_SIZE = 5
_MAX_READ_CONNECTIONS = 40  # as many as threads that may ask
_KEEPALIVE: dict[str, Any] = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_SESSION_SETTINGS = {
    "timezone": "UTC",
    "jit": "off",
    "statement_timeout": f"{_STATEMENT_TIMEOUT_S}s",
    "idle_in_transaction_session_timeout": "60s",
}
_INDEX_ONLY_SETTINGS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""The writer looks everything up by index. Left to itself the server would, for as long as it takes a new table for a small
one, read it through again and again, and keep to that plan."""


def is_postgresql(url: str) -> bool:
    """Whether this is the URL of a PostgreSQL database."""
    return url.startswith(("postgresql://", "postgres://"))


def redact_url(url: str) -> str:
    """The URL without its password."""
    parts = urlsplit(url)
    _, _, hosts = parts.netloc.rpartition("@")
    user = parts.username
    return f"postgresql://{f'{user}@' if user else ''}{hosts}{parts.path}"


def postgresql_engine(url: str, *, writes: bool) -> Engine:
    """An engine for a database; with `writes` for one connection, which looks everything up by index.

    Raises MissingExtra and UnsafeStorage; what the server says to it comes with the first connection.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=connector(url),
        hide_parameters=True,  # parameters are people's numbers
        pool_size=1 if writes else _READ_POOL_SIZE,
        max_overflow=0 if writes else _MAX_READ_CONNECTIONS - _READ_POOL_SIZE,
        pool_pre_ping=not writes,
        isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
        use_native_hstore=False,  # or it asks for that type with the first connection
    )
    settings = _SESSION_SETTINGS | (_INDEX_ONLY_SETTINGS if writes else {})
    connections: WeakSet[psycopg.Connection[Any]] = WeakSet()

    @event.listens_for(engine, "engine_disposed")
    def _hang_up(_engine: Engine) -> None:
        """End the waits of other threads: a server that hangs never would, and the process ends after its threads."""
        for connection in [each for each in connections if not each.closed]:
            with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connections.add(connection)
        with close_on_failure(connection), connection.cursor() as cursor:
            named = [part for setting in settings.items() for part in setting]
            cursor.execute("SELECT " + ", ".join(["set_config(%s, %s, false)"] * len(settings)), named)
            if writes:
                cursor.execute("SELECT current_setting('synchronous_commit')")
                if cursor.fetchone()[0] in ("off", "local"):
                    cursor.execute("SET synchronous_commit TO on")
        connection.commit()

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def _spell(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> tuple[str, Any]:
        return statement, replace_nul(parameters) if contains_nul(parameters) else parameters

    return engine


def connector(url: str) -> "Callable[[], psycopg.Connection[Any]]":
    """What connects to the server that takes writes, of those that the URL names. Raises MissingExtra, UnsafeStorage."""
    try:
        import psycopg
    except ImportError as error:
        raise MissingExtra("ledger.url: PostgreSQL needs psycopg: pip install 'answerback[postgresql]'") from error
    _check_authority(url)
    return partial(psycopg.connect, url, application_name="answerback", **connect_options(url))


def connect_options(url: str) -> dict[str, Any]:
    """How a server is connected to: soon or not at all, one that takes writes where the URL asks for no other, and given up once it is silent."""
    return _KEEPALIVE | ({} if "target_session_attrs" in url else {"target_session_attrs": "read-write"})


def _check_authority(url: str) -> None:
    """Raise UnsafeStorage for an authority that libpq would not look at."""
    asked = parse_qs(urlsplit(url).query)
    mode = asked.get("sslmode", [os.environ.get("PGSSLMODE", "prefer")])[-1]
    if mode in _UNVERIFIED_SSL_MODES and asked.get("sslrootcert", ["system"]) != [
        "system"
    ]:  # that one means verify-full
        raise UnsafeStorage(f"ledger.url: sslrootcert has no effect with sslmode={mode}: write sslmode=verify-full")


def verify_durable(connection: Connection, *, allow_unsafe: bool) -> None:
    """Refuse a server that cannot hold what is asked of it. Raises UnsafeStorage, LedgerUnavailable with the reason."""
    number = int(_setting(connection, "server_version_num"))
    if number < MIN_VERSION:
        raise UnsafeStorage(f"PostgreSQL {_setting(connection, 'server_version')} is too old: 14 or newer is required")
    if _setting(connection, "server_encoding") != "UTF8":
        raise UnsafeStorage("the database's encoding is not UTF-8: create it with ENCODING 'UTF8'")
    if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar():
        raise LedgerUnavailable(
            UnavailableReason.READ_ONLY, "the server is a standby, which is read-only: name the primary, or all servers"
        )
    for name, harm in (("fsync", "a commit may be lost"), ("full_page_writes", "a crash may tear pages")):
        if _setting(connection, name) != "on" and not allow_unsafe:
            raise UnsafeStorage(
                f"the server runs with {name}=off: {harm}; set it on, or set ledger.allow_unsafe_filesystem"
            )


def _setting(connection: Connection, name: str) -> str:
    value: str = connection.exec_driver_sql("SELECT current_setting(%s)", (name,)).scalar_one()
    return value
