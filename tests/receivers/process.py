"""A receiver as a test holds it: started, killed, started again on the same port, and read."""

import base64
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from forking import RECEIVER, Forked, launch
from ports import port_of, reserve_port

LONGEST_PAUSE_S = 0.05


class Taken(NamedTuple):
    """One request that a receiver took; `busy` were under way at that moment, this one with them."""

    at_s: float
    method: str
    path: str
    id: str
    headers: dict[str, str]
    body: bytes
    status: int
    busy: int

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON."""
        document: dict[str, Any] = json.loads(self.body)
        return document

    @property
    def type(self) -> str:
        """The type of a webhook, or the key of a vendor's callback."""
        return str(self.document.get("type") or next(iter(self.document)))

    @property
    def call(self) -> dict[str, Any]:
        """The call that a webhook tells of."""
        call: dict[str, Any] = self.document["data"]["call"]
        return call

    @property
    def callid(self) -> str:
        """The call of a webhook, in either format."""
        return str(self.call["callid"] if "data" in self.document else self.document[self.type]["callid"])


class Receiver:
    """`receiver.py` on a port of its own, which stays its own while nothing listens there.

    `options` are those of the script: `behaviour="slow", wait_s=2`. As a context manager it is started, and killed at
    the end.
    """

    def __init__(self, home: Path, name: str = "receiver", **options: object) -> None:
        self._reservation = reserve_port()
        self.port = port_of(self._reservation)
        self.name = name
        self.scheme = "https" if "certificate" in options else "http"
        self._log = home / f"{name}-{self.port}.jsonl"
        self._options = options
        self._process: Forked | None = None
        self._read_bytes = 0
        self._taken: list[Taken] = []

    def __enter__(self) -> Self:
        return self if self.up else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill it and give its port back."""
        self.kill()
        self._reservation.close()

    @property
    def url(self) -> str:
        """Where it listens, if it does."""
        return f"{self.scheme}://127.0.0.1:{self.port}/told"

    @property
    def up(self) -> bool:
        """Whether it runs."""
        return self._process is not None

    def start(self, **options: object) -> Self:
        """Start it, from now on with these options where some are given, and wait until it listens."""
        assert self._process is None, "runs already"
        self._options = options or self._options
        given = {"port": self.port, "log": self._log} | self._options
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        reading, writing = os.pipe()
        errors = self._log.with_suffix(".err")
        with os.fdopen(reading, "rb") as reported:
            with os.fdopen(writing, "wb") as out, errors.open("ab") as err:
                home = self._log.parent
                self._process = launch(arguments, cwd=home, env=os.environ, stdout=out, stderr=err, program=RECEIVER)
            assert reported.readline() == b"listening\n", f"the receiver did not start: {errors.read_text()}"
        return self

    def kill(self) -> None:
        """SIGKILL to it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """SIGTERM to it, if it runs: unlike one that is killed it has answered what it took, if it is not a slow one."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def restart(self, **options: object) -> Self:
        """Kill it and start it again."""
        self.kill()
        return self.start(**options)

    @property
    def taken(self) -> list[Taken]:
        """Everything that it took so far, in order."""
        if self._log.exists():
            with self._log.open("rb") as log:
                log.seek(self._read_bytes)
                whole, end, _ = log.read().rpartition(b"\n")
            self._read_bytes += len(whole) + len(end)
            self._taken += [_taken(line) for line in whole.split(b"\n") if line.endswith(b"}")]
        return list(self._taken)

    @property
    def callids(self) -> list[str]:
        """The calls of all webhooks received, in order, repeats included."""
        return [one.callid for one in self.taken]

    def await_taken(self, count: int, timeout_s: float = 15.0) -> list[Taken]:
        """Wait until it took so many; all of them."""
        await_true(
            lambda: len(self.taken) >= count,
            lambda: f"{self.name} took {len(self.taken)} of {count}: {self.callids}",
            timeout_s,
        )
        return self.taken


Receive = Callable[..., Receiver]
"""Starts a receiver by its name and options, and kills it at the end of the test."""


def await_true(
    condition: Callable[[], object],
    words: Callable[[], str] = lambda: "it never came",
    timeout_s: float = 15.0,
    every_s: float = 0.01,
) -> None:
    """Look every so often until something holds, less often where it takes long; `words` say what was instead.

    A look may cost as much as it is waited for: most are a request to a gateway.
    """
    began_s = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - began_s
        assert waited_s < timeout_s, words()
        time.sleep(max(every_s, min(waited_s / 8, LONGEST_PAUSE_S)))


def _taken(line: bytes) -> Taken:
    fields = json.loads(line)
    return Taken(**fields | {"body": base64.b64decode(fields["body"])})
