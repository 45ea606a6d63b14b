"""Stores in a database of the user's: what they need of it, and what they do where it is not as they need it."""

import os
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
import sqlalchemy as sa
from builders import key_press, received, rejected, status
from gateway import OK, prompt
from gateway import key_press as key_press_body
from receiver.conftest import TOKEN, MakeReceiver, place_for
from receiver.stores import STORES, Place, close, rows, set_up_django
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import QueuePool

from answerback.errors import ConfigError, LedgerUnavailable, UnavailableReason
from answerback.receiver import Event, ReadableStore, SQLiteStore
from answerback.receiver.sqlalchemy import SQLAlchemyStore, metadata

FIRST, SECOND = (received(key_press(key=key)) for key in "12")
THEIRS = sorted(name for name in STORES if "," in name)
COLUMNS = {
    "answerback_callbacks": "id channel callid fingerprint raw received_us due_us duplicates failures delivered_us claim",
    "answerback_rejected": "id channel raw result reason received_us",
}

Opened = tuple[ReadableStore, Place]


@pytest.fixture(params=THEIRS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Opens each of these stores in turn."""
    place, stores = place_for(request.param, tmp_path), list[ReadableStore]()

    def open_one(**options: object) -> Opened:
        stores.append(STORES[request.param](place, **options))
        return stores[-1], place

    yield open_one
    for store in stores:
        close(store)


def fails(*_: object) -> float:
    """It is tried again in an hour."""
    return 3600


def test_all_have_the_same_columns(opened: Callable[..., Opened]) -> None:
    """Those of the SQLite store's file: what the documents say of one holds for all."""
    _, place = opened()
    engine = sa.create_engine(place.url, poolclass=sa.NullPool)
    found = {name: {column["name"] for column in sa.inspect(engine).get_columns(name)} for name in COLUMNS}
    assert found == {name: set(columns.split()) for name, columns in COLUMNS.items()}
    indexes = {index["name"] for index in sa.inspect(engine).get_indexes("answerback_callbacks")}
    assert indexes >= {f"answerback_callbacks_{name}" for name in ("call", "received", "due")}


def test_the_sqlite_store_has_them_too(tmp_path: Path) -> None:
    """By the same names."""
    SQLiteStore(tmp_path / "voice.db", allow_unsafe_filesystem=True)
    place = Place(tmp_path)
    found = {name: {row[1] for row in rows(place, f"PRAGMA table_info({name})")} for name in COLUMNS}
    assert found == {name: set(columns.split()) for name, columns in COLUMNS.items()}


def test_a_batch_is_kept_whole_or_not_at_all(opened: Callable[..., Opened]) -> None:
    """Whatever is wrong with a part of it."""
    store, place = opened()
    with pytest.raises(LedgerUnavailable) as raised:
        store.record([FIRST, rejected(b"{", reason=None)])  # type: ignore[arg-type]
    assert raised.value.reason == UnavailableReason.VALUE
    assert rows(place, "SELECT id FROM answerback_callbacks") == []
    store.record([FIRST])
    assert store.backlog().events == 1


def test_rejected_bodies_are_kept_and_bounded(opened: Callable[..., Opened]) -> None:
    """Those that came first."""
    store, place = opened(max_rejected=2)
    store.record([rejected(b"1"), rejected(b"2"), rejected(b"3")])
    store.record([rejected(b"4")])
    kept = rows(place, "SELECT channel, raw, result, reason FROM answerback_rejected ORDER BY id")
    assert kept == [("default", raw, 3003, "the body is empty") for raw in (b"1", b"2")]


def test_old_calls_are_deleted_whole(opened: Callable[..., Opened]) -> None:
    """Of which nothing waits and nothing came; those that wait stay for ever."""
    store, place = opened(keep_days=30)
    store.record([FIRST, SECOND, received(status(callid="done"))])  # of long ago
    assert store.deliver(lambda callbacks, _: None if callbacks[-1].raw != FIRST.raw else 3600)
    assert store.deliver(lambda callbacks, _: None if callbacks[-1].raw != FIRST.raw else 3600)
    assert not store.deliver(fails)
    assert {callid for (callid,) in rows(place, "SELECT callid FROM answerback_callbacks")} == {FIRST.callback.callid}


def test_what_was_given_up_by_hand_holds_nothing_up(opened: Callable[..., Opened]) -> None:
    """No trigger is there to let go what was behind it: the store looks for that by itself."""
    store, place = opened()
    store.record([FIRST, SECOND])
    assert store.deliver(fails)
    with sa.create_engine(place.url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(
            sa.text("UPDATE answerback_callbacks SET due_us = NULL, delivered_us = 0 WHERE failures > 0")
        )
    taken: list[bytes] = []
    while not taken:
        store.deliver(lambda callbacks, _: taken.append(callbacks[-1].raw))
    assert taken == [SECOND.raw]


def test_a_missing_table_is_said(opened: Callable[..., Opened]) -> None:
    """By its name."""
    store, place = opened()
    with sa.create_engine(place.url, poolclass=sa.NullPool).begin() as connection:
        metadata.drop_all(connection)
    with pytest.raises(LedgerUnavailable) as raised:
        store.record([FIRST])
    assert raised.value.reason == UnavailableReason.SCHEMA
    assert "answerback_callbacks" in raised.value.detail
    if "django" in type(store).__module__:
        with sa.create_engine(place.url, poolclass=sa.NullPool).begin() as connection:
            connection.execute(sa.text("DROP TABLE django_migrations"))


def test_a_fork_leaves_the_connections_alone(opened: Callable[..., Opened]) -> None:
    """A child has its own, and the parent's go on."""
    store, _ = opened()
    store.record([FIRST])
    child = os.fork()
    if child == 0:
        try:
            store.record([SECOND])
            os._exit(0 if len(store.callbacks("default", FIRST.callback.callid)) == 2 else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert store.backlog().events == 2
    store.record([received(key_press(key="3"))])
    assert store.backlog().events == 3


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_what_would_not_be_synced_is_refused(name: str, tmp_path: Path) -> None:
    """OK must not be answered for what a power failure undoes."""
    engine = sa.create_engine(place_for(name, tmp_path).url, poolclass=sa.NullPool)
    metadata.create_all(engine)

    @sa.event.listens_for(engine, "connect")
    def commit_unsafely(connection: object, _record: object) -> None:
        setting = "PRAGMA synchronous = NORMAL" if name == "sqlite" else "SET synchronous_commit TO off"
        connection.cursor().execute(setting)  # type: ignore[attr-defined]
        connection.commit()  # type: ignore[attr-defined]

    with pytest.raises(LedgerUnavailable) as raised:
        SQLAlchemyStore(engine).record([FIRST])
    assert raised.value.reason == UnavailableReason.UNSAFE
    assert raised.value.detail == (
        "synchronous is NORMAL, expected FULL" if name == "sqlite" else "synchronous_commit is off, expected on"
    )


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_an_engine_that_commits_by_itself_does_not_here(name: str, tmp_path: Path) -> None:
    """The store's transactions are its own, whatever the engine's isolation is."""
    place = place_for(name, tmp_path)
    engine = sa.create_engine(place.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    metadata.create_all(engine)
    store = SQLAlchemyStore(engine)
    with pytest.raises(LedgerUnavailable):
        store.record([FIRST, rejected(b"{", reason=None)])  # type: ignore[arg-type]
    assert rows(place, "SELECT id FROM answerback_callbacks") == []


def test_an_engine_that_begins_by_itself_is_one(tmp_path: Path) -> None:
    """As SQLAlchemy's manual has it for SQLite, with BEGIN by an event."""
    place = Place(tmp_path)
    engine = sa.create_engine(place.url, poolclass=QueuePool)

    @sa.event.listens_for(engine, "connect")
    def connect(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    metadata.create_all(engine)
    store = SQLAlchemyStore(engine)
    store.record([FIRST, rejected(b"{")])
    assert store.deliver(fails)
    assert store.backlog().events == 1
    store.close()
    engine.dispose()


def test_other_databases_are_refused() -> None:
    """At once."""
    engine = sa.create_engine("sqlite://")
    engine.dialect.name = "mysql"  # of which no driver is installed
    with pytest.raises(ConfigError, match=r"^store: expected a database of SQLite or PostgreSQL, got mysql$"):
        SQLAlchemyStore(engine)
    with pytest.raises(ConfigError, match=r"^engine: expected an Engine of create_engine, got AsyncEngine$"):
        SQLAlchemyStore(create_async_engine("postgresql+psycopg://127.0.0.1/x"))  # type: ignore[arg-type]


# Django.


def test_the_migration_has_all_of_the_models() -> None:
    """Django would make no other."""
    set_up_django()
    from django.core.management import call_command

    said = StringIO()
    call_command("makemigrations", "answerback", check_changes=True, dry_run=True, stdout=said)
    assert "No changes detected in app 'answerback'" in said.getvalue()


def test_the_models_show_what_is_there(tmp_path: Path) -> None:
    """To the ORM, and so to Django's admin."""
    place = Place(tmp_path)
    store = STORES["django, sqlite"](place)
    store.record([FIRST, rejected(b"{")])
    from django.db import connections

    from answerback.receiver.django.models import ReceivedCallback, RejectedBody

    (callback,) = ReceivedCallback.objects.using(place.url).all()
    assert (callback.callid, bytes(callback.raw), callback.due_us is None) == (FIRST.callback.callid, FIRST.raw, False)
    assert str(callback) == f"callback {callback.pk} of {FIRST.callback.callid}"
    assert [str(one) for one in RejectedBody.objects.using(place.url).all()] == ["the body is empty"]
    connections[place.url].close()
    close(store)


def test_events_are_a_signal_too(make_receiver: MakeReceiver) -> None:
    """Beside the decorator; of a receiver that has no URL in Django there is none. What a function raises is a failure of the event."""
    set_up_django()
    from answerback.receiver.django import voice_event

    voice, other, events = make_receiver(None), make_receiver(None), list[Event]()
    assert voice.django() is voice.django()

    def note(event: Event, **_: object) -> None:
        events.append(event)
        if event.callback.callid == "b":
            raise ValueError

    voice_event.connect(note, sender=voice)
    try:
        assert voice.receive(prompt("a"), TOKEN).body == OK
        assert voice.receive(key_press_body("b"), TOKEN).status == 503
        assert other.receive(prompt("a"), TOKEN).body == OK
    finally:
        voice_event.disconnect(note, sender=voice)
    assert [event.type for event in events] == ["answered", "key_pressed"]
