"""What only PostgreSQL can do to a ledger, or for it: many writers, connections that break, months."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, failure, key_press, received, status, unanswered
from contract import delivery_helpers
from contract.databases import ledger_database
from contract.test_statistics import EVER, everything, recount, said
from sqlalchemy import text
from sqlalchemy.engine import Connection

from answerback.domain.delivery_states import DeliveryTransition
from answerback.domain.endpoints import DeliveryState
from answerback.domain.models import Outcome, ParsedCallback
from answerback.domain.retention import RetentionPolicy
from answerback.errors import LedgerUnavailable, SchemaMismatch, UnsafeStorage
from answerback.ledger import Disposition, Ledger, migrations, open_postgresql
from answerback.ledger.backends.postgresql import schema
from answerback.ledger.backends.postgresql.partition_ids import month_name, month_of_id, sequence_of
from answerback.ledger.backends.postgresql.server import connector
from answerback.ledger.backends.selection import bulk_sql
from answerback.ledger.commands import Prune
from answerback.ledger.read.activity import BEGINNING, ActivityCursor, CommitHorizon, read_activity
from answerback.ledger.write.retention import PrunePosition


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with an empty ledger."""
    return ledger_database(tmp_path)


@pytest.fixture
def connect(url: str) -> Iterator[Callable[..., Ledger]]:
    """Opens the ledger, as often as there are processes; by another way where one is given."""
    with ExitStack() as opened:

        def connect(way: str | None = None) -> Ledger:
            return opened.enter_context(closing(open_postgresql(way or url, allow_unsafe=True)))

        yield connect


def test_closing_ends_a_read_that_waits(connect: Callable[..., Ledger]) -> None:
    """A server that answers nothing holds no thread, and so no gateway, beyond its end."""
    ledger = connect()
    asleep = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(ledger.read, lambda connection: connection.execute(text("SELECT pg_sleep(20)")))
        while not ledger.read(lambda connection: connection.execute(text(asleep)).all()):
            assert not reading.done()
        began_s = time.monotonic()
        ledger.close()
        with pytest.raises(LedgerUnavailable):
            reading.result()
    assert time.monotonic() - began_s < 5


def callbacks_of(calls: int) -> list[ParsedCallback]:
    """Two to four callbacks of each call, in order."""
    items = []
    for n in range(calls):
        callid, after_s = f"call-{n}", n / 1000
        items += [
            received(status(callid=callid) if n % 3 else unanswered(callid=callid), after_s=after_s),
            received(key_press(callid=callid, key=str(n % 10)), after_s=after_s + 1),
        ]
        if n % 3 == 0:
            items.append(received(failure(callid=callid), after_s=after_s + 2))
    return items


def test_many_writers_make_the_record_of_one(connect: Callable[..., Ledger]) -> None:
    """Whoever writes what and when: each callback is there once, each call is folded, the sums are those of a recount."""
    ledgers = [connect() for _ in range(4)]
    delivery_helpers.endpoint(ledgers[0], "crm")
    items = callbacks_of(60)
    begin = threading.Barrier(len(ledgers))

    def write(number: int) -> list[Disposition]:
        ledger, mine = ledgers[number], items[number:] + items[:number]
        begin.wait()
        taken = []
        for start in range(0, len(mine), 20):
            taken += [receipt.disposition for receipt in ledger.record(mine[start : start + 20])]
        return taken

    with ThreadPoolExecutor(len(ledgers)) as threads:
        taken = [one for reported in threads.map(write, range(len(ledgers))) for one in reported]
    assert taken.count(Disposition.STORED) == len(items)
    assert taken.count(Disposition.DUPLICATE) == 3 * len(items)
    ledger = ledgers[0]
    page = ledger.calls(limit=500)
    assert len(page.items) == 60
    assert {call.outcome for call in page.items} == {Outcome.ANSWERED, Outcome.UNANSWERED}
    assert [len(ledger.callbacks(f"call-{n}").items) for n in range(60)] == [3 if n % 3 == 0 else 2 for n in range(60)]
    assert said(ledger.statistics(EVER)) == recount(everything(ledger))
    undelivered = delivery_helpers.undelivered(ledger)
    assert len(undelivered) == len(items)
    for n in range(60):
        assert [one.state for one in undelivered if one.callid == f"call-{n}"].count(DeliveryState.PENDING) == 1


def test_nothing_stays_waiting_when_the_end_of_one_meets_the_next(connect: Callable[..., Ledger]) -> None:
    """An attempt ends while another callback of the call is being stored: what is behind goes out all the same."""
    here, there = connect(), connect()
    to = delivery_helpers.endpoint(here, "crm")
    for n in range(30):
        here.record([received(status(callid=f"call-{n}"))])
        (job,) = delivery_helpers.load(here, to)
        begin = threading.Barrier(2)

        def store(n: int = n, begin: threading.Barrier = begin) -> None:
            begin.wait()
            there.record([received(key_press(callid=f"call-{n}"), after_s=1)])

        with ThreadPoolExecutor(1) as thread:
            storing = thread.submit(store)
            begin.wait()
            delivery_helpers.settle(here, delivery_helpers.attempt(job, DeliveryTransition.SUCCEEDED))
            storing.result()
        delivery_helpers.accept_everything(here, to)
        assert set(delivery_helpers.states(here)) == {DeliveryState.DELIVERED}


def pid_of(ledger: Ledger) -> int:
    """The server's process that serves the ledger's writing connection."""
    return ledger.write(lambda connection, _: int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one()))


def end(ledger: Ledger, pid: int) -> None:
    """End a process of the server, as a restart or a failover does."""
    with ledger.engine.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})


def test_a_connection_that_breaks_is_made_again(
    connect: Callable[..., Ledger], caplog: pytest.LogCaptureFixture
) -> None:
    """Within a transaction or between two, no sender hears of it; a reader is told. The drivers log nothing of it themselves."""
    ledger, other = connect(), connect()
    ledger.record([received(status(callid="first"))])
    end(other, pid_of(ledger))
    assert [receipt.disposition for receipt in ledger.record([received(status(callid="second"))])] == [
        Disposition.STORED
    ]
    times = iter(range(10))

    def work(connection: Connection, _: Any) -> int:
        number = next(times)
        pid = int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
        with bulk_sql(connection).pipelined() if number == 1 else nullcontext():
            if number < 2:
                end(other, pid)
            bulk_sql(connection).execute("SELECT 1").fetchall()
        return number

    assert ledger.write(work, shared=True) == 2
    times = iter(range(1, 10))
    with pytest.raises(LedgerUnavailable, match="the database cannot be reached"):
        ledger.read(work, None)
    assert ledger.read(work, None) == 2
    assert not caplog.records


def test_a_writer_that_stops_within_a_transaction_does_not_stop_the_others(connect: Callable[..., Ledger]) -> None:
    """The server ends its transaction after 5 s; when it goes on, what it was to store counts as not stored."""
    stopped, other = connect(), connect()
    begun, going_on = threading.Event(), threading.Event()

    def work(_connection: Connection, _: Any) -> None:
        begun.set()
        going_on.wait(60.0)

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(stopped.write, work)
        try:
            assert begun.wait(10.0)
            began_s = time.monotonic()
            assert [receipt.disposition for receipt in other.record([received(status(callid="meanwhile"))])] == [
                Disposition.STORED
            ]
            assert time.monotonic() - began_s < 30.0
        finally:
            going_on.set()
        with pytest.raises(LedgerUnavailable):
            written.result(10.0)


class CutAtCommit(threading.Thread):
    """A way to the server that breaks right after a commit has gone through, before the answer comes back; once."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = port
        self.armed = threading.Event()
        self.cuts = 0

    def run(self) -> None:
        """Serve one connection after the other."""
        with suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self.port))
                threading.Thread(target=self._back, args=(server, client), daemon=True).start()
                threading.Thread(target=self._forth, args=(client, server), daemon=True).start()

    def _forth(self, client: socket.socket, server: socket.socket) -> None:
        with server, suppress(OSError):
            while data := client.recv(65536):
                cut = self.armed.is_set() and b"COMMIT" in data
                if cut:
                    self.armed.clear()
                    self.cuts += 1
                    client.shutdown(socket.SHUT_RDWR)
                server.sendall(data)
                if cut:
                    server.recv(65536)  # it is done
                    return

    @staticmethod
    def _back(server: socket.socket, client: socket.socket) -> None:
        with client, suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)


def test_a_commit_whose_answer_was_lost_counts_once(connect: Callable[..., Ledger], url: str) -> None:
    """The connection breaks when the commit is through: the server is asked, and nothing is done twice."""
    where, _, database = url.rpartition("/")
    way = CutAtCommit(int(where.rpartition(":")[2]))
    way.start()
    ledger = connect(f"postgresql://answerback@127.0.0.1:{way.listener.getsockname()[1]}/{database}")
    ledger.record([received(status(callid="first"))])
    way.armed.set()
    (receipt,) = ledger.record([received(status(callid="second"))])
    assert (way.cuts, receipt.disposition) == (1, Disposition.STORED)
    (entry,) = ledger.callbacks("second").items
    assert entry.duplicates == 0
    assert said(ledger.statistics(EVER)) == recount(everything(ledger))
    way.listener.close()


def test_a_server_that_may_lose_a_commit_is_refused(url: str) -> None:
    """fsync=off is said by its name, with what to do; the tests' server runs so."""
    with pytest.raises(UnsafeStorage, match=r"ledger\.url, postgresql://.*fsync=off.*ledger\.allow_unsafe_filesystem"):
        open_postgresql(url)


def test_an_error_never_shows_the_password(url: str) -> None:
    """What cannot be connected to is named by host and database."""
    nowhere = url.replace("answerback@", "answerback:topsecret@").replace("test_", "missing_")
    with pytest.raises(LedgerUnavailable) as reported:
        open_postgresql(nowhere, allow_unsafe=True)
    assert "topsecret" not in reported.value.explanation
    assert "missing_" in reported.value.detail
    assert str(reported.value) == "the database cannot be reached"
    with pytest.raises(UnsafeStorage, match=r"ledger\.url: expected postgresql://"):
        open_postgresql("mysql://root:topsecret@db/x")


@pytest.mark.parametrize("mode", ["", "sslmode=prefer&", "sslmode=disable&"])
def test_an_authority_that_would_not_be_looked_at_is_refused(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """Who names an authority means to verify; libpq alone would go on in plain text."""
    with pytest.raises(
        UnsafeStorage, match=r"^ledger\.url: sslrootcert has no effect with sslmode=\w+: write sslmode="
    ):
        open_postgresql(f"postgresql://a@127.0.0.1:1/x?{mode}sslrootcert=/ca.pem")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    for verified in ("sslrootcert=/ca.pem", "sslmode=verify-ca&sslrootcert=/ca.pem", "sslrootcert=system"):
        connector(f"postgresql://a@127.0.0.1:1/x?{verified}")


def test_a_newer_schema_that_is_too_new_is_refused(connect: Callable[..., Ledger], url: str) -> None:
    """As on SQLite: the floor decides."""
    ledger = connect()
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE schema_revision SET version_num = '9999'"))
        connection.execute(text("UPDATE alembic_version SET version_num = '9998'"))
    with pytest.raises(SchemaMismatch, match=f"9999, not this program's {migrations.HEAD}"):
        open_postgresql(url, allow_unsafe=True)


def test_a_character_that_it_cannot_keep_is_kept_as_its_sign(connect: Callable[..., Ledger]) -> None:
    """A NUL in a callid, a number or a reference costs nobody an answer; the bytes stay as they came."""
    ledger = connect()
    item = received(status(callid="a\0b", mobile="138\0"))
    assert [receipt.disposition for receipt in ledger.record([item, received(status(callid="other"))])] == [
        Disposition.STORED
    ] * 2
    assert ledger.call("a\0b").callid == "a␀b"
    assert ledger.callbacks("a\0b").items[0].raw == item.raw
    assert ledger.record([item])[0].disposition is Disposition.DUPLICATE
    delivery_helpers.annotate(ledger, "a\0b", reference="o\0")
    assert ledger.call("a\0b").reference == "o␀"


def test_a_call_lies_in_its_month(connect: Callable[..., Ledger]) -> None:
    """A call's callbacks and deliveries have its month in their ids, however late they come; months are made as needed."""
    ledger = connect()
    to = delivery_helpers.endpoint(ledger)
    december_s = timedelta(days=230).total_seconds()
    ledger.record([received(status(callid="may")), received(status(callid="december"), after_s=december_s)])
    ledger.record([received(key_press(callid="may"), after_s=december_s)])
    delivery_helpers.accept_everything(ledger, to)
    months = {
        callid: {month_name(month_of_id(entry.id)) for entry in ledger.callbacks(callid).items}
        for callid in ("may", "december")
    }
    assert months == {"may": {"2026_05"}, "december": {"2026_12"}}
    assert [month_name(month_of_id(one.id)) for one in delivery_helpers.undelivered(ledger)] == [
        "2026_05",
        "2026_05",
        "2026_12",
    ]
    with ledger.engine.connect() as connection:
        assert [month_name(month) for month in schema.list_partitions(connection)] == ["copied", "2026_05", "2026_12"]
    assert sequence_of(ledger.callbacks("may").items[0].id) > 0


def test_a_month_without_calls_is_dropped(connect: Callable[..., Ledger]) -> None:
    """Once its calls were deleted for their age its partitions go, and their disk comes back; a month with calls stays."""
    ledger = connect()
    later_s = timedelta(days=62).total_seconds()
    ledger.record([received(status(callid="old")), received(status(callid="new"), after_s=later_s)])
    now = NOON + timedelta(days=100)
    cutoffs = RetentionPolicy(calls_days=60).cutoffs(now)
    position: PrunePosition | None = PrunePosition()
    while position is not None:
        position = Prune(cutoffs, position).run(ledger).position
    assert [call.callid for call in ledger.calls().items] == ["new"]
    with ledger.engine.connect() as connection:
        assert [month_name(month) for month in schema.list_partitions(connection)] == ["copied", "2026_07"]


def test_a_late_commit_is_not_skipped(connect: Callable[..., Ledger]) -> None:
    """Of two transactions the later began first, and the one with the higher number commits first: a reader gets both, in order."""
    early, late, reader = connect(), connect(), connect()
    early.record([received(status(callid=callid)) for callid in ("early", "late", "other")])
    horizon = CommitHorizon()

    def read(cursor: ActivityCursor) -> tuple[list[str], ActivityCursor]:
        until = reader.read(horizon.advance)
        assert until is not None
        events, end = reader.read(read_activity, cursor, until)
        return [one.callid for one in events], end

    _, cursor = read(BEGINNING)
    with reader.engine.connect() as held, reader.engine.connect() as begun, ThreadPoolExecutor(2) as threads:
        held.execute(
            text("SELECT 1 FROM callbacks WHERE call_id = (SELECT id FROM calls WHERE callid = 'other') FOR UPDATE")
        )
        begun.execute(text("SELECT 1 FROM calls WHERE callid = 'late' FOR UPDATE"))
        last = threads.submit(late.record, [received(key_press(callid="late"), after_s=1)])
        await_waiting(reader, 1)  # has begun, and drawn no number
        first = threads.submit(early.record, [received(key_press(callid="early")), received(status(callid="other"))])
        await_waiting(reader, 2)  # has drawn a number, and does not commit
        begun.rollback()
        (second_id,) = (receipt.id for receipt in last.result())
        assert read(cursor) == ([], cursor)
        assert read(cursor) == ([], cursor)
        held.rollback()
        first_id = first.result()[0].id
    assert first_id is not None
    assert second_id is not None
    assert first_id < second_id
    assert read(cursor)[0] == ["early", "late"]


def await_waiting(ledger: Ledger, count: int) -> None:
    """Until so many transactions wait for a row."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    while ledger.read(lambda connection: connection.execute(waiting).scalar_one()) < count:
        time.sleep(0.01)
