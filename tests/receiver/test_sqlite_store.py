"""The SQLite file: who may read it, what it refuses, what it forgets, and what happens to it from outside."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from builders import key_press, received, rejected, status
from ending import ending
from small_disk import fill

from answerback.domain.models import ParsedCallback, RawCallback
from answerback.errors import ConfigError, LedgerUnavailable, SchemaMismatch, UnavailableReason, UnsafeStorage
from answerback.receiver import SQLiteStore

FIRST, SECOND = (received(key_press(key=key)) for key in "12")
CALLID = FIRST.callback.callid

Open = Callable[..., SQLiteStore]


def done(_callbacks: Sequence[RawCallback], _failures: int) -> None:
    """Nothing is left to do."""


def fails(_callbacks: Sequence[RawCallback], _failures: int) -> float:
    """It is tried again in an hour."""
    return 3600


def aged(callback: ParsedCallback, **age: float) -> ParsedCallback:
    """The callback, received so long ago."""
    return msgspec.structs.replace(callback, received_at=datetime.now(UTC) - timedelta(**age))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file will be."""
    return tmp_path / "voice.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Open]:
    """Opens stores on the file, and closes them."""
    stores: list[SQLiteStore] = []

    def open_one(**options: object) -> SQLiteStore:
        stores.append(SQLiteStore(path, **{"allow_unsafe_filesystem": True} | options))  # type: ignore[arg-type]
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """What is in the file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_nobody_else_may_read_it(path: Path, opened: Open) -> None:
    """It is full of phone numbers: so are its log and the log's index."""
    opened().record([FIRST])
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(["voice.db", "voice.db-wal", "voice.db-shm"], "0o600")


def test_callbacks_are_synced_and_deliveries_are_not(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """As SQLite ran it: a batch is one statement, and synced; what a power failure undoes of a delivery is delivered again."""
    said: dict[str, list[str]] = {}
    connect = sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_trace_callback(said.setdefault(f"{len(said)}", []).append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    store = opened()
    said.clear()
    store.record([received(status(callid=f"{number}")) for number in range(100)])
    assert store.deliver(done)
    recording, delivering = said.values()
    assert {one.split()[0] for one in recording} == {"PRAGMA", "INSERT"}  # which begins and commits by itself
    assert [one for one in recording if "synchronous=" in one] == ["PRAGMA synchronous=FULL"]
    assert [one for one in delivering if "synchronous=" in one] == ["PRAGMA synchronous=NORMAL"]


def test_a_file_of_another_program_is_refused(path: Path, opened: Open) -> None:
    """And left as it is."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch, match=r"voice\.db: this is another program's database: name a file of its own$"):
        opened()
    assert rows(path, "SELECT name FROM sqlite_master") == [("theirs",)]
    assert path.read_bytes()[100:] == before[100:]  # but for the header, which says WAL now


def test_a_file_of_a_newer_program_is_refused(path: Path, opened: Open) -> None:
    """It may mean something else there."""
    opened().close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=2")
    with pytest.raises(
        SchemaMismatch, match=r"voice\.db: it has format 2, this version of answerback 1: install the one"
    ):
        opened()


def test_a_file_that_is_no_database_is_refused(path: Path, opened: Open) -> None:
    """By its name, and left as it is."""
    path.write_bytes(b"no database")
    with pytest.raises(SchemaMismatch, match=r"^store, .*voice\.db: this is no database of SQLite: name another file$"):
        opened()
    assert path.read_bytes() == b"no database"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_days": "90"}, r"^keep_days: expected a number above 0, got '90'$"),
        ({"max_rejected": -1}, r"^max_rejected: expected a number from 0 on, got -1$"),
        ({"lease_s": 0}, r"^lease_s: expected a number above 0, got 0$"),
    ],
)
def test_a_wrong_option_is_named(opened: Open, options: dict[str, Any], message: str) -> None:
    """A lease of no time would hand an event to everybody, and less than a day to keep would be none."""
    with pytest.raises(ConfigError, match=message):
        opened(**options)
    with pytest.raises(
        ConfigError, match=r"^path: expected the path of a file, such as voice\.db, got sqlite:voice\.db$"
    ):
        SQLiteStore("sqlite:voice.db")


def test_a_place_in_memory_is_refused(tmp_path: Path) -> None:
    """What is answered there is gone with the next power failure."""
    if not Path("/dev/shm").is_dir():
        pytest.skip("no /dev/shm on this system")
    with pytest.raises(
        UnsafeStorage, match=r"^store, /dev/shm/.*: the file system is tmpfs: .*allow_unsafe_filesystem$"
    ):
        SQLiteStore(Path("/dev/shm") / tmp_path.name)
    assert not (Path("/dev/shm") / tmp_path.name).exists()


def test_a_file_that_was_moved_is_noticed(path: Path, opened: Open) -> None:
    """What is written to it then is not where anybody will look; put back, it is well again."""
    store = opened()
    store.record([FIRST])
    aside = path.rename(path.with_name("aside.db"))
    with pytest.raises(LedgerUnavailable, match="moved or replaced"):
        store.record([SECOND])
    aside.rename(path)
    store.record([SECOND])
    assert len(store.callbacks("default", CALLID)) == 2


def test_a_locked_file_is_an_error_with_a_name(path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the batch nothing is there, and the next one is stored."""
    monkeypatch.setattr("answerback.receiver.sqlite_store._LOCK_TIMEOUT_S", 0.05)
    store = opened()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable) as raised:
            store.record([FIRST])
        assert raised.value.reason is UnavailableReason.LOCKED
        assert str(path) in raised.value.explanation
        other.execute("ROLLBACK")
    assert store.callbacks("default", CALLID) == []
    store.record([FIRST])
    assert len(store.callbacks("default", CALLID)) == 1


def test_a_full_disk_is_an_error_with_a_name(small_disk: Path) -> None:
    """And with room again it goes on."""
    with closing(SQLiteStore(small_disk / "voice.db", allow_unsafe_filesystem=True)) as store:
        store.record([FIRST])
        filler = fill(small_disk)
        with pytest.raises(LedgerUnavailable) as raised:
            store.record([received(status(callid="x", mobile="1" * 200), raw=bytes(200_000))])
        assert raised.value.reason is UnavailableReason.DISK_FULL
        filler.unlink()
        store.record([SECOND])
        assert len(store.callbacks("default", CALLID)) == 2


def test_old_calls_are_deleted_when_all_of_them_is_done(path: Path, opened: Open) -> None:
    """Whole calls: one that goes on, or of which something waits, keeps its callbacks; so do the calls of `keep_days`."""
    store = opened(keep_days=30)
    store.record([aged(received(status(callid="waits")), days=31)])
    assert store.deliver(fails)
    store.record(
        [
            aged(received(status(callid="old")), days=31),
            aged(received(key_press(callid="goes on")), days=31),
            aged(received(status(callid="goes on")), days=29),
            aged(rejected(b"{"), days=31),  # type: ignore[arg-type]  # has the same field
            aged(rejected(b"["), days=29),  # type: ignore[arg-type]
        ]
    )
    while store.deliver(done):
        pass
    assert rows(path, "SELECT callid FROM answerback_callbacks ORDER BY id") == [("waits",), ("goes on",), ("goes on",)]
    assert rows(path, "SELECT raw FROM answerback_rejected") == [(b"[",)]


def test_rejected_bodies_are_bounded(path: Path, opened: Open) -> None:
    """Those that came first are kept: junk cannot fill the disk, nor push out what was there."""
    store = opened(max_rejected=2)
    store.record([rejected(b"1"), rejected(b"2"), rejected(b"3"), FIRST])
    store.record([rejected(b"4")])
    assert rows(path, "SELECT channel, raw, result, reason FROM answerback_rejected ORDER BY id") == [
        ("default", raw, 3003, "the body is empty") for raw in (b"1", b"2")
    ]
    assert store.backlog().events == 1


def test_a_slow_handler_keeps_its_lease(path: Path, opened: Open) -> None:
    """However long it takes, its event is nobody else's: the lease is moved on long before its end."""
    store, other = opened(lease_s=4), opened(lease_s=4)
    store.record([FIRST, SECOND])
    taken: list[bool] = []

    def leased_until_us() -> int:
        ((until_us,),) = rows(path, "SELECT due_us FROM answerback_callbacks WHERE id = 1")
        assert isinstance(until_us, int)
        return until_us

    def slow(_callbacks: Sequence[RawCallback], _failures: int) -> None:
        first_us = leased_until_us()
        while not any(taken) and leased_until_us() < first_us + 2_000_000:  # which takes two renewals
            taken.append(other.deliver(done))
            time.sleep(0.02)  # the one who renews needs the interpreter, too

    assert store.deliver(slow)
    assert not any(taken)
    assert other.deliver(done)
    assert not store.deliver(done)


def test_the_event_of_a_process_that_was_killed_is_due_again(path: Path, opened: Open) -> None:
    """After its lease, in another process; those behind it come then."""
    store = opened(lease_s=0.3)
    store.record([FIRST, SECOND])
    dies = (
        "import os, signal, sys; from answerback.receiver import SQLiteStore\n"
        "store = SQLiteStore(sys.argv[1], lease_s=0.3, allow_unsafe_filesystem=True)\n"
        "store.deliver(lambda *_: os.kill(os.getpid(), signal.SIGKILL))"
    )
    assert subprocess.run([sys.executable, "-c", dies, path], check=False).returncode == -9
    taken: list[bytes] = []
    deadline_s = time.monotonic() + 30
    while len(taken) < 2 and time.monotonic() < deadline_s:
        store.deliver(lambda callbacks, _: taken.append(callbacks[-1].raw))
    assert taken == [FIRST.raw, SECOND.raw]


def test_who_has_lost_the_lease_changes_nothing(path: Path, opened: Open) -> None:
    """A process that slept through its lease says that it is done: somebody else has the event now, and decides."""
    store, other = opened(), opened()
    store.record([FIRST, SECOND])

    def sleeps(_callbacks: Sequence[RawCallback], _failures: int) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE answerback_callbacks SET due_us = 1 WHERE id = 1")
        assert other.deliver(fails)

    assert store.deliver(sleeps)
    assert store.backlog().events == 2
    assert rows(path, "SELECT failures FROM answerback_callbacks ORDER BY id") == [(1,), (0,)]


def test_a_call_of_many_callbacks_is_not_gone_through_with_each(path: Path, opened: Open) -> None:
    """Whether one of a call waits is read from an index of what waits."""
    opened()
    waiting = "SELECT {} FROM answerback_callbacks WHERE channel = ? AND callid = ? AND due_us IS NOT NULL {}"
    with closing(sqlite3.connect(path)) as database:
        for query in (waiting.format("1", "AND id < 9"), waiting.format("min(id)", "")):
            plan = database.execute(f"EXPLAIN QUERY PLAN {query}", ("default", CALLID)).fetchall()
            assert "INDEX answerback_callbacks_waiting (channel=? AND callid=?" in plan[0][3]


def test_fast_handlers_get_many_at_a_time(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a slow one among them gives back those that were claimed with it."""
    store, other = opened(), opened()
    store.record([received(status(callid=f"{number}")) for number in range(40)])
    monkeypatch.setattr("answerback.receiver.sql_store._SLICE_S", 60.0)
    for _ in range(3):
        assert store.deliver(done)  # one, two, four
    monkeypatch.setattr("answerback.receiver.sql_store._SLICE_S", 0.01)
    handled = 0

    def slow(_callbacks: Sequence[RawCallback], _failures: int) -> None:
        nonlocal handled
        handled += 1
        time.sleep(0.02)  # a slow handler

    assert store.deliver(slow)
    assert handled == 1
    assert store.backlog().events == 40 - 7 - 1
    taken: list[bytes] = []
    while other.deliver(lambda callbacks, _: taken.append(callbacks[-1].raw)):
        pass
    assert len(set(taken)) == len(taken) == 32


def test_an_event_may_be_dropped_by_hand(path: Path, opened: Open) -> None:
    """One that no handler will ever take: the file itself lets go those behind it."""
    store = opened()
    store.record([FIRST, SECOND])
    assert store.deliver(fails)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE answerback_callbacks SET due_us = NULL, delivered_us = 0 WHERE id = 1")
    taken: list[bytes] = []
    assert store.deliver(lambda callbacks, _: taken.append(callbacks[-1].raw))
    assert taken == [SECOND.raw]


def test_many_processes_may_make_the_file(path: Path) -> None:
    """Workers start at the same time, on a file that is not there."""
    opens = (
        "import sys; from answerback.receiver import SQLiteStore; print('ready', flush=True); sys.stdin.read()\n"
        "SQLiteStore(sys.argv[1], allow_unsafe_filesystem=True).backlog()"
    )
    command = ending(sys.executable, "-c", opens, path)
    pipe = subprocess.PIPE
    workers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) for _ in range(6)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.close()
    for worker in workers:
        worker.stdin = None
    assert [worker.communicate()[1] for worker in workers] == [b""] * 6
    assert [worker.returncode for worker in workers] == [0] * 6


def test_a_fork_leaves_the_connection_alone(opened: Open) -> None:
    """A child of a process that has used the store has a connection of its own, and the parent's goes on."""
    store = opened()
    store.record([FIRST])
    child = os.fork()
    if child == 0:
        try:
            store.record([SECOND])
            os._exit(0 if len(store.callbacks("default", CALLID)) == 2 else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert store.backlog().events == 2
    store.record([received(key_press(key="3"))])
    assert [one.raw for one in store.callbacks("default", CALLID)][:2] == [FIRST.raw, SECOND.raw]


def test_what_is_read_is_read_by_several_threads(opened: Open) -> None:
    """`call` and `backlog` may be asked for from anywhere while others record and deliver."""
    store, stop = opened(), threading.Event()
    failures: list[BaseException] = []

    def use(function: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                function()
        except BaseException as error:  # noqa: BLE001  # told below
            failures.append(error)

    uses: list[Callable[[], object]] = [
        store.backlog,
        lambda: store.callbacks("default", CALLID),
        lambda: store.deliver(done),
    ]
    threads = [threading.Thread(target=use, args=(one,)) for one in uses]
    for thread in threads:
        thread.start()
    for number in range(30):
        store.record([received(key_press(key=f"{number}"))])
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    while store.deliver(done):
        pass
    assert store.backlog() == (0, 0.0)
