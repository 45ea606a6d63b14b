"""`program.py` in a process of its own, and what its handler has written down."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from ending import ending
from receiver.stores import Place, rows

TIMEOUT_S = 60.0


class Noted(NamedTuple):
    """The handler began, failed or ended with an event."""

    what: str
    pid: int
    callid: str
    fingerprint: str


class Application:
    """The running program; as a context manager it is started, and killed at the end."""

    def __init__(self, place: Place, store: str = "sqlite") -> None:
        self.place = place
        self._program = ending(
            sys.executable, Path(__file__).with_name("program.py"), store, place.home, place.postgresql_url
        )

    def __enter__(self) -> Self:
        variables = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        self._log = (self.place.home / "log").open("ab")
        self._process = subprocess.Popen(self._program, stdout=subprocess.PIPE, stderr=self._log, env=variables)
        assert self._process.stdout is not None
        self.address = ("127.0.0.1", int(self._process.stdout.readline()))
        self.url = "http://127.0.0.1:{1}/voice/callback".format(*self.address)
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


def await_delivered(place: Place) -> None:
    """Until nothing waits for the handler."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while rows(place, "SELECT count(*) FROM answerback_callbacks WHERE due_us IS NOT NULL") != [(0,)]:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def check_events(place: Place, killed: set[int]) -> None:
    """Each callback was handled to its end, those of a call in their order, and never two of one at a time.

    But for processes that were `killed` while they had one.
    """
    noted = [Noted(**json.loads(line)) for line in (place.home / "events.jsonl").read_text().splitlines()]
    by_call: defaultdict[str, list[Noted]] = defaultdict(list)
    for one in noted:
        by_call[one.callid].append(one)
    expected: defaultdict[str, list[str]] = defaultdict(list)
    for callid, fingerprint in rows(place, "SELECT callid, fingerprint FROM answerback_callbacks ORDER BY id"):
        expected[callid].append(fingerprint.hex())
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
