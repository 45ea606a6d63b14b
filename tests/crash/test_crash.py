"""SIGKILL at any moment to the gateway, its writer or both: whatever was answered is recorded once, and the files are sound.

ROUNDS sets how often the server is killed under load (4 by default); `make crash` shows each round. The server that is killed
under load is executed; the others are forked, whose start is all schema, keys and log, and none of it Python's own.
"""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from crash.load import Load, check
from ending import ending
from gateway import OK, Gateway, prompt
from relay.waiting import until

ROUNDS = int(os.environ.get("ROUNDS", "4"))
LARGE_BYTES = 40_000
"""A WAL of a thousand pages, the size that starts a checkpoint, holds about eighty such bodies."""

VICTIMS = ("the gateway", "its writer", "both")
"""Who is killed: one alone as the kernel does that is out of memory."""

MIGRATES = """
import os, sys, time
from pathlib import Path
from answerback.ledger import migrations
from answerback.ledger.backends.sqlite.engine import sqlite_engine
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        engine = sqlite_engine(Path(line.strip()), 1)
        print(os.getpid(), flush=True)
        with engine.execution_options(writes=True).begin() as connection:
            migrations.upgrade(connection)
        os.read(0, 1)  # to the end: of this process, or of the tests
    os.waitpid(pid, 0)
    print("ended", flush=True)
"""
"""Makes the schema in each file that it is told of, in a process of its own whose id it says just before it begins."""

CHECKPOINTS = """
import sqlite3, sys, itertools
ledger = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=1)
for mode in itertools.cycle(("PASSIVE", "FULL", "RESTART", "TRUNCATE")):
    try:
        ledger.execute(f"PRAGMA wal_checkpoint({mode})")
    except sqlite3.OperationalError:
        pass
"""


@pytest.fixture(autouse=True)
def seed() -> None:
    """Choose the moments anew in each run, and show how to choose the same again."""
    number = int(os.environ.get("SEED", str(random.randrange(2**32))))
    _say(f"\nSEED={number} ROUNDS={ROUNDS}")
    random.seed(number)


async def _kill_under(load: Load, gateway: Gateway, after_s: float, victim: str = "both") -> None:
    """Load, and in the midst of it SIGKILL; a gateway that only lost its writer has to go on, and is killed later."""
    sending = asyncio.create_task(load.run(gateway))
    await asyncio.sleep(after_s)  # any moment: to await an event would choose it
    if victim == "its writer":
        for helper in gateway.helpers:
            os.kill(helper, signal.SIGKILL)
        before = len(load.answered)
        await asyncio.sleep(after_s)  # any moment: to await an event would choose it
        await until(lambda: len(load.answered) > before)
    if victim == "the gateway":
        gateway.send_signal(signal.SIGKILL)
        gateway.wait()
    else:
        gateway.kill()
    async with asyncio.timeout(20):
        await sending


@contextmanager
def _checkpointing(file: Path) -> Iterator[None]:
    """Another process checkpoints a file without a pause, and is killed as well."""
    process = subprocess.Popen(ending(sys.executable, "-c", CHECKPOINTS, file))
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _say(line: str) -> None:
    print(line)  # noqa: T201  # `make crash` shows the rounds


def _report(kind: str, number: int, rounds: int, load: Load, began_s: float) -> None:
    answered = len(load.answered)
    _say(f"{kind} {number + 1}/{rounds}: {answered} answered, all stored once, {time.monotonic() - began_s:.1f} s")


def _wal_bytes(gateway: Gateway) -> int:
    wals = (gateway.ledger.with_name("ledger.db-wal"), gateway.inbox.with_name("inbox.db-wal"))
    return min(wal.stat().st_size if wal.exists() else 0 for wal in wals)


def test_killed_under_load(tmp_path: Path) -> None:
    """Round after round on one ledger: load, SIGKILL, start; every answered callback is stored exactly once."""
    load, gateway, began_s = Load(), Gateway(tmp_path / "data", executed=True), time.monotonic()
    for number in range(ROUNDS):
        with gateway.start():
            check(gateway, load)
            asyncio.run(_kill_under(load, gateway, random.uniform(0.05, 0.6), VICTIMS[number % len(VICTIMS)]))
            assert not load.refused
        _report("under load", number, ROUNDS, load, began_s)
    assert len(load.answered) > ROUNDS
    with gateway.start():
        check(gateway, load)


@pytest.mark.soak
def test_killed_during_checkpoints(tmp_path: Path) -> None:
    """The same while a write-ahead log is copied into its file all the time, by the server and by another process."""
    rounds = max(3, ROUNDS // 3)
    load, gateway, began_s = Load(size_bytes=LARGE_BYTES), Gateway(tmp_path / "data"), time.monotonic()
    for number in range(rounds):
        with gateway.start():
            check(gateway, load)
            with _checkpointing((gateway.ledger, gateway.inbox)[number % 2]):
                asyncio.run(_kill_under(load, gateway, random.uniform(0.1, 0.8), random.choice(VICTIMS)))
        _report("during checkpoints", number, rounds, load, began_s)
    with gateway.start():
        check(gateway, load)
        assert gateway.ledger.stat().st_size > LARGE_BYTES, "no checkpoint was made"


def test_killed_while_starting(tmp_path: Path) -> None:
    """Killed at any moment of its first start, the next one finds a directory it can use."""
    rounds = max(4, ROUNDS // 3)
    began_s = time.monotonic()
    with Gateway(tmp_path / "whole") as whole:
        start_s = whole.first_answer_s
    for number in range(rounds):
        gateway = Gateway(tmp_path / f"data-{number}")
        stages = []
        for _ in range(2):
            gateway.spawn()
            time.sleep(random.uniform(0.1, 1.05) * start_s)  # any moment of the start
            gateway.kill()
            stages.append(sorted(path.name for path in gateway.data_dir.glob("*")))
        with gateway.start():
            assert gateway.post(prompt("after")).content == OK
            assert gateway.get("/v1/calls/after").status_code == 200
            assert gateway.rows("PRAGMA integrity_check") == [("ok",)]
            assert gateway.key.startswith("ab_")
        _say(f"while starting {number + 1}/{rounds}: left {stages}, {time.monotonic() - began_s:.1f} s")


def test_killed_while_migrating(tmp_path: Path) -> None:
    """Killed inside a migration, the file has the old schema or the new one, and the next start goes on from there."""
    rounds, left = max(4, ROUNDS // 2), set()
    with subprocess.Popen(
        ending(sys.executable, "-c", MIGRATES), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as migrating:
        assert migrating.stdin is not None
        assert migrating.stdout is not None
        for number in range(rounds):
            gateway = Gateway(tmp_path / f"data-{number}")
            gateway.data_dir.mkdir(mode=0o700)
            migrating.stdin.write(b"%s\n" % bytes(gateway.ledger))
            migrating.stdin.flush()
            pid = int(migrating.stdout.readline())
            time.sleep(random.uniform(0, 0.06))  # any moment of the migration
            os.kill(pid, signal.SIGKILL)
            assert migrating.stdout.readline() == b"ended\n"
            with closing(
                sqlite3.connect(gateway.ledger)
            ) as file:  # not read-only: it may have to undo what was half done
                left.add(file.execute("SELECT count(*) > 0 FROM sqlite_master").fetchone()[0])
            with gateway.start():
                assert gateway.post(prompt("after")).content == OK
                assert gateway.rows("PRAGMA integrity_check") == [("ok",)]
                assert gateway.rows("SELECT count(*) FROM alembic_version") == [(1,)]
            _say(f"while migrating {number + 1}/{rounds}: so far left with a schema or none: {sorted(left)}")


@pytest.mark.soak
def test_killed_while_recovering(tmp_path: Path) -> None:
    """Killed while it starts on a log that a kill has left, the next start still finds everything."""
    rounds = max(3, ROUNDS // 5)
    load, gateway, began_s = Load(size_bytes=LARGE_BYTES // 8), Gateway(tmp_path / "data"), time.monotonic()
    for number in range(rounds):
        with gateway.start():
            start_s = gateway.first_answer_s
            check(gateway, load)
            asyncio.run(_kill_under(load, gateway, random.uniform(0.1, 0.4)))
        assert _wal_bytes(gateway) > 0
        gateway.spawn()
        time.sleep(random.uniform(0.1, 1.05) * start_s)  # any moment of the start
        gateway.kill()
        _report("while recovering", number, rounds, load, began_s)
    with gateway.start():
        check(gateway, load)


def test_killed_while_junk_comes_in(tmp_path: Path) -> None:
    """A refused body that was answered is in quarantine after a kill too."""
    gateway = Gateway(tmp_path / "data")
    refused: list[bytes] = []
    for number in range(max(1, ROUNDS // 4)):
        with gateway.start():
            for position in range(30):
                body = b"junk %d %d" % (number, position)
                assert gateway.post(body).status_code == 400
                refused.append(body)
            gateway.kill()
    with gateway.start():
        kept = gateway.rows("SELECT raw, duplicates FROM quarantine ORDER BY id")
        assert kept == [(body, 0) for body in refused]
