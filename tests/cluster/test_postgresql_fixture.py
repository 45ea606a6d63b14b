"""The PostgreSQL that the other tests are made of: what it promises when it is killed, paused, promoted, forgotten."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from postgresql import PostgreSQL
from receivers.process import await_true

FORGETFUL = """
import os, signal
from postgresql import PostgreSQL
server, other = PostgreSQL.start(), PostgreSQL.start()
other.pause()
print(server.home, other.home, *server.processes, *other.processes, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture(scope="module")
def lasting_server() -> Iterator[PostgreSQL]:
    """A server, in whatever state the last test has left it."""
    with PostgreSQL.start() as server:
        yield server


@pytest.fixture
def server(lasting_server: PostgreSQL) -> PostgreSQL:
    """A server that the test may kill, and that waits for nobody."""
    if not lasting_server.up:
        lasting_server.restart()
    lasting_server.execute("ALTER SYSTEM RESET synchronous_standby_names")
    lasting_server.execute("SELECT pg_reload_conf()")
    lasting_server.execute("DROP TABLE IF EXISTS told")
    lasting_server.execute("CREATE TABLE told (callid text)")
    return lasting_server


def test_killed_it_recovers_what_was_committed(server: PostgreSQL) -> None:
    """After a kill nothing listens on its port; started again, what was committed is there, and no more."""
    server.execute("INSERT INTO told VALUES ('before')")
    with psycopg.connect(server.url()) as connection:
        connection.execute("INSERT INTO told VALUES ('never committed')")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        server.execute("SELECT 1")
    server.restart()
    assert server.execute("SELECT callid FROM told") == [("before",)]


def test_promoted_a_synchronous_standby_has_everything(server: PostgreSQL) -> None:
    """What the server confirmed before it was killed is at the standby, which takes writes once promoted."""
    with server.standby(synchronous=True) as standby:
        for number in range(50):
            server.execute(f"INSERT INTO told VALUES ('{number}')")
        server.kill()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            standby.execute("INSERT INTO told VALUES ('too early')")
        standby.promote()
        standby.execute("INSERT INTO told VALUES ('50')")
        assert standby.execute("SELECT count(*) FROM told") == [(51,)]


def test_without_its_standby_a_synchronous_server_confirms_nothing(server: PostgreSQL) -> None:
    """A commit that the standby has not got waits until it has."""
    with server.standby(synchronous=True) as standby, ThreadPoolExecutor(1) as pool:
        standby.kill()
        commit = pool.submit(server.execute, "INSERT INTO told VALUES ('while it was away')")
        await_true(lambda: server.execute(WAITING), lambda: "no commit waits for the standby")
        assert not commit.done()
        standby.restart()
        commit.result(timeout=10)


def test_paused_it_answers_nobody_and_then_goes_on(server: PostgreSQL) -> None:
    """A paused server lets a connection wait; after resume it answers what was asked meanwhile."""
    server.pause()
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        psycopg.connect(server.url(), connect_timeout=2)
    server.resume()
    assert server.execute("SELECT 1") == [(1,)]


def test_a_new_database_is_empty_and_comes_at_once(server: PostgreSQL) -> None:
    """Each database is a fresh copy of its template, whatever is done in another."""
    name = server.create_database().rpartition("/")[2]
    server.execute("CREATE TABLE kept (number int)", name)
    created, took_s = [], []
    for template in (name, "template1"):
        began_s = time.monotonic()
        created.append(server.create_database(template).rpartition("/")[2])
        took_s.append(time.monotonic() - began_s)
    assert min(took_s) < 2
    tables = "SELECT count(*) FROM pg_tables WHERE tablename = 'kept'"
    assert [server.execute(tables, each) for each in created] == [[(1,)], [(0,)]]


def test_killed_the_tests_leave_no_server_behind() -> None:
    """Where the process of the tests is killed, its servers end with all their processes and files, paused or not."""
    home = Path(__file__).parents[1]
    process = subprocess.run(
        [sys.executable, "-c", FORGETFUL], cwd=home, stdout=subprocess.PIPE, text=True, timeout=60, check=False
    )
    *homes, first, second = process.stdout.split(maxsplit=2)
    pids = f"{first} {second}".split()
    assert process.returncode == -9
    assert len(pids) > 4
    left = [*map(Path, homes), *(Path("/proc", pid, "cwd") for pid in pids)]  # a zombie is nowhere
    await_true(lambda: not any(path.exists() for path in left), lambda: f"left: {left}")
