"""`program.py` in a process of its own, and what its handler has written down."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from ending import ending

TIMEOUT_S = 60.0


class Noted(NamedTuple):
    """The handler began, failed or ended with an event."""

    what: str
    pid: int
    callid: str
    fingerprint: str


class Application:
    """The running program; as a context manager it is started, and killed at the end."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __enter__(self) -> Self:
        command = ending(sys.executable, Path(__file__).with_name("program.py"), self.home)
        self._log = (self.home / "log").open("ab")
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log)
        assert self._process.stdout is not None
        self.address = ("127.0.0.1", int(self._process.stdout.readline()))
        self.url = "http://127.0.0.1:{1}/voice/callback".format(*self.address)
        deadline_s = time.monotonic() + TIMEOUT_S
        while not (self.home / "voice.db").exists():  # the listener queues connections before
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def kill(self) -> None:
        """By SIGKILL."""
        self._process.kill()
        self._process.wait()

    def terminate(self) -> int:
        """By SIGTERM; its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(TIMEOUT_S)


def rows(home: Path, query: str) -> list[tuple[Any, ...]]:
    """What is in the store's file."""
    with closing(sqlite3.connect(home / "voice.db", timeout=30)) as connection:
        return connection.execute(query).fetchall()


def await_delivered(home: Path) -> None:
    """Until nothing waits for the handler."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while rows(home, "SELECT count(*) FROM callbacks WHERE due_us IS NOT NULL") != [(0,)]:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def check_events(home: Path, killed: set[int]) -> None:
    """Each callback was handled to its end, those of a call in their order, and never two of one at a time.

    But for processes that were `killed` while they had one.
    """
    noted = [Noted(**json.loads(line)) for line in (home / "events.jsonl").read_text().splitlines()]
    by_call: defaultdict[str, list[Noted]] = defaultdict(list)
    for one in noted:
        by_call[one.callid].append(one)
    expected: defaultdict[str, list[str]] = defaultdict(list)
    for callid, fingerprint in rows(home, "SELECT callid, lower(hex(fingerprint)) FROM callbacks ORDER BY id"):
        expected[callid].append(fingerprint)
    assert by_call.keys() == expected.keys()
    for callid, events in by_call.items():
        ended = [one.fingerprint for one in events if one.what == "ended"]
        assert list(dict.fromkeys(ended)) == expected[callid]
        assert len(ended) == len(set(ended)) or killed
        current: Noted | None = None
        for one in events:
            if one.what == "began":
                assert current is None or current.pid == one.pid or current.pid in killed, "two at a time"
                current = one
            else:
                assert current == one._replace(what="began"), "two at a time"
                current = None
