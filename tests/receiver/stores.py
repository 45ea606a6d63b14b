"""The stores of which each passes the suite: one line makes another one pass it, or fail."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import sqlalchemy as sa
from django.conf import settings

from answerback.receiver import MemoryStore, ReadableStore, SQLiteStore
from answerback.receiver.sql_store import SQLStore
from answerback.receiver.sqlalchemy import SQLAlchemyStore, metadata


class Place(NamedTuple):
    """Where a store may keep what it has: a directory, and a database of PostgreSQL's if it asks for one."""

    home: Path
    postgresql_url: str = ""

    @property
    def url(self) -> str:
        """As SQLAlchemy wants it."""
        return self.postgresql_url.replace("://", "+psycopg://", 1) or f"sqlite:///{self.home / 'voice.db'}"


def sqlalchemy_store(place: Place, **options: Any) -> SQLAlchemyStore:
    """In a database of SQLAlchemy's, whose tables it makes where they are not there."""
    engine = sa.create_engine(place.url)
    metadata.create_all(engine)
    return SQLAlchemyStore(engine, **{"keep_days": None} | options)


def django_store(place: Place, **options: Any) -> ReadableStore:
    """In a database of Django's, migrated."""
    using = _django_database(place)
    from django.core.management import call_command
    from django.db import connections

    from answerback.receiver.django import DjangoStore

    call_command("migrate", database=using, verbosity=0, skip_checks=True)
    connections[using].close()
    return DjangoStore(using, **{"keep_days": None} | options)


def set_up_django() -> None:
    """Once in a process."""
    if settings.configured:
        return
    settings.configure(
        INSTALLED_APPS=["answerback.receiver.django"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        ROOT_URLCONF="receiver.django_urls",
        ALLOWED_HOSTS=["*"],
    )
    import django

    django.setup()


def _django_database(place: Place) -> str:
    """The name by which Django knows the place's database: its URL."""
    set_up_django()
    from django.db import connections

    url = sa.make_url(place.url)
    database = {
        "ENGINE": f"django.db.backends.{'postgresql' if place.postgresql_url else 'sqlite3'}",
        "NAME": url.database,
        "USER": url.username,
        "HOST": url.host,
        "PORT": url.port,
    }
    connections.settings[place.url] = connections.configure_settings({"default": {}, place.url: database})[place.url]
    return place.url


def sqlite_store(place: Place, **options: Any) -> SQLiteStore:
    """In a file of its own."""
    return SQLiteStore(place.home / "voice.db", **{"keep_days": None, "allow_unsafe_filesystem": True} | options)


STORES: dict[str, Callable[..., ReadableStore]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": sqlite_store,
    "sqlalchemy, sqlite": sqlalchemy_store,
    "sqlalchemy, postgresql": sqlalchemy_store,
    "django, sqlite": django_store,
    "django, postgresql": django_store,
}
"""Name -> a new store in a place, or one on what an earlier one left there."""

LASTING = sorted(STORES.keys() - {"memory"})
"""Those that keep what they have beyond their process, and are shared by several."""


def close(store: ReadableStore) -> None:
    """Once nobody uses it any more."""
    if isinstance(store, SQLStore):
        store.close()
    if isinstance(store, SQLAlchemyStore):
        store._engine.dispose()  # noqa: SLF001  # which is the tests'


def rows(place: Place, query: str) -> list[tuple[Any, ...]]:
    """What is in the place's database."""
    if place.postgresql_url:
        with psycopg.connect(place.postgresql_url) as connection:
            return connection.execute(query.encode()).fetchall()
    with closing(sqlite3.connect(place.home / "voice.db", timeout=30, isolation_level=None)) as connection:
        return connection.execute(query).fetchall()
