"""The real gateway in a process of its own, and what a test needs to talk to it from outside."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from email.message import Message
from http.client import parse_headers
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any, NamedTuple, Self
from urllib.parse import urlsplit

import httpx
from forking import COMMAND, LOCALE, OURS, Forked, launch

__all__ = ["COMMAND"]
CALLBACK = "/voice/callback"
OK = b'{"result":0,"errmsg":"OK"}'
START_TIMEOUT_S = 60.0  # where much else runs; how soon it is up has a test of its own
STOP_TIMEOUT_S = 15.0
WATCHDOG = "ANSWERBACK_WATCHDOG"

_INBOX_ENDS = """
    SELECT generations.id, max(rows.key & 0xffffffffff) FROM generations JOIN rows ON rows.key >> 40 = generations.number
    GROUP BY generations.id
"""

SEED = b"""{
    "voiceprompt_callback": {
        "result": "0",
        "accept_time": "1470197211",
        "call_from": "",
        "callid": "xxxxxx",
        "end_calltime": "1470197221",
        "fee": "1",
        "mobile": "13xxxxxxxxx",
        "nationcode": "86",
        "start_calltime": "1470197196"
    }
}"""
"""The example of "Voice Notification Status Callback", product 1128/37519, verbatim."""


def prompt(callid: str, /, **fields: object) -> bytes:
    """The seed's callback about another call; `fields` replace its own, one that is `...` is left out."""
    return _callback("voiceprompt_callback", json.loads(SEED)["voiceprompt_callback"] | {"callid": callid} | fields)


def code(callid: str, /, **fields: object) -> bytes:
    """The status of a verification code."""
    return _callback("voicecode_callback", json.loads(SEED)["voiceprompt_callback"] | {"callid": callid} | fields)


def failure(callid: str, /, **fields: object) -> bytes:
    """Why a call could not be delivered: as received in the field, 11 with a text that no table lists."""
    reported = {
        "call_from": "",
        "callid": callid,
        "failure_code": 11,
        "failure_reason": "其他",
        "mobile": "13788888888",
        "nationcode": "86",
    }
    return _callback("voice_failure_callback", reported | fields)


def key_press(callid: str, key: str | None = "1", /, **fields: object) -> bytes:
    """A key that the callee pressed."""
    reported = {"call_from": "", "callid": callid, "keypress": key, "mobile": "13788888888", "nationcode": "86"}
    return _callback("voicekey_callback", reported | fields)


def _callback(name: str, fields: Mapping[str, object]) -> bytes:
    kept = {field: value for field, value in fields.items() if value is not ...}
    return json.dumps({name: kept}, ensure_ascii=False).encode()


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without its own settings of Answerback, and with `settings`.

    But for the watchdog: `ANSWERBACK_WATCHDOG=1 pytest tests/acceptance` fails wherever a request holds the event loop.
    An unsafe place is allowed, so that the tests run where /tmp is in memory; "" takes that back. Whoever runs the tests has no profiles.
    A read waits for what was answered before it, however busy the machine is that runs the tests.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS) or name == WATCHDOG}
    given = {
        "ANSWERBACK_API__READ_WAIT_MS": "10000",
        "ANSWERBACK_LEDGER__ALLOW_UNSAFE_FILESYSTEM": "true",
        "ANSWERBACK_PROFILE_DIR": "/nonexistent",
        "COLUMNS": "240",
        **LOCALE,
        **(settings or {}),
    }
    return kept | {name: value for name, value in given.items() if value}


def run(
    *arguments: str | Path,
    cwd: Path,
    settings: Mapping[str, str] | None = None,
    timeout_s: float = 60.0,
    executed: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run `answerback` with `arguments` to its end; see `forking.launch` for `executed`."""
    with TemporaryFile() as out, TemporaryFile() as err:
        running = launch(arguments, cwd=cwd, env=environment(settings), stdout=out, stderr=err, executed=executed)
        try:
            status = running.wait(timeout_s)
        except subprocess.TimeoutExpired:
            running.kill()
            raise
        said = [_whole(file) for file in (out, err)]
    return subprocess.CompletedProcess(arguments, status, *said)


def _whole(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n")


def _lives(pid: int) -> bool:
    """Whether the process still holds its files; a zombie does not."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Gateway:
    """`answerback serve` on `data_dir` and a free port; as a context manager it is started, and killed at the end."""

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        options: Sequence[str | Path] = (),
        executed: bool = False,
    ) -> None:
        self.data_dir = data_dir
        self.ledger = data_dir / "ledger.db"
        self.inbox = Path((settings or {}).get("ANSWERBACK_INBOX__DIR", data_dir), "inbox.db")
        self.url = ""
        self.reported: dict[str, Any] = {}
        self.first_answer_s = 0.0
        self._settings = dict(settings or {})
        self._options = list(options)
        self._executed = executed
        self._starts = 0
        self._process: Forked | None = None
        self._client: httpx.Client | None = None

    def __enter__(self) -> Self:
        return self if self.up else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.up:
            self.kill()
        if WATCHDOG in os.environ:
            assert "event_loop_blocked" not in self.stderr, self.stderr

    # The process.

    def spawn(self) -> None:
        """Start the process, and do not wait for anything."""
        assert not self.up, "runs already"
        self._starts += 1
        with self._log("out").open("wb") as out, self._log("err").open("wb") as err:
            self._process = launch(
                ["serve", "--json", "--port", "0", "--data-dir", self.data_dir, *self._options],
                cwd=self.data_dir.parent,
                env=environment(self._settings),
                stdout=out,
                stderr=err,
                executed=self._executed,
            )

    def start(self) -> Self:
        """Start the process and wait until it answers."""
        began_s = time.monotonic()
        self.spawn()
        self.reported = self._await_reported(began_s + START_TIMEOUT_S)
        self.url = self.reported["url"]
        self._client = httpx.Client(base_url=self.url, timeout=30.0, trust_env=False, verify=False)  # no TLS here
        assert self.get("/healthz").status_code == 200
        self.first_answer_s = time.monotonic() - began_s
        return self

    def _await_reported(self, deadline_s: float) -> dict[str, Any]:
        while time.monotonic() < deadline_s:
            text = self.stdout
            if text.endswith("}\n"):
                reported: dict[str, Any] = json.loads(text)
                return reported
            if self.process.poll() is not None:
                raise AssertionError(f"serve ended with status {self.process.returncode}: {self.stderr}")
            time.sleep(0.01)
        self.kill()
        raise AssertionError(f"serve printed no URL in time: {self.stderr}")

    @property
    def up(self) -> bool:
        """Whether it was started, and not seen to end since."""
        return self._process is not None

    @property
    def process(self) -> Forked:
        """The running process."""
        assert self._process is not None, "not started"
        return self._process

    @property
    def stdout(self) -> str:
        """What the last start has written to standard output so far."""
        return self._log("out").read_text()

    @property
    def stderr(self) -> str:
        """The lines that the last start has written to standard error so far; the last may be half written."""
        whole, end, _ = self._log("err").read_text().rpartition("\n")
        return whole + end

    def _log(self, name: str) -> Path:
        return self.data_dir.with_name(f"{self.data_dir.name}-{self._starts}.{name}")

    @property
    def helpers(self) -> list[int]:
        """The ids of the processes that it has started itself."""
        found: list[int] = []
        for children in Path("/proc", str(self.process.pid), "task").glob("*/children"):
            with suppress(OSError):
                found += map(int, children.read_text().split())
        return found

    def kill(self) -> None:
        """SIGKILL to it and its helpers: no farewell of anybody's."""
        self.send_signal(signal.SIGSTOP)  # so that neither sees the other end, and none is started meanwhile
        helpers = self.helpers
        for helper in helpers:
            with suppress(ProcessLookupError):
                os.kill(helper, signal.SIGKILL)
        self.process.kill()
        self.wait()
        while any(_lives(helper) for helper in helpers):
            time.sleep(0.005)

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the process, and do not wait."""
        self.process.send_signal(number)

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask the process to stop; return its exit status."""
        self.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the process's end; return its exit status."""
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        finally:
            if self._client is not None:
                self._client.close()
                self._client = None
            if self.process.poll() is not None:
                self._process = None

    # The outside.

    @property
    def key(self) -> str:
        """The admin key."""
        return (self.data_dir / "admin-key").read_text().strip()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    @property
    def client(self) -> httpx.Client:
        """A client whose paths start at the gateway's URL; it sends no key."""
        assert self._client is not None, "not started"
        return self._client

    def post(self, body: bytes, token: str | None = None, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """POST a callback to the channel with `token`, or to the open one."""
        path = CALLBACK if token is None else f"{CALLBACK}/{token}"
        return self.client.post(path, content=body, headers=dict(headers or {}))

    def get(self, path: str, **query: str | int) -> httpx.Response:
        """GET with the admin key, where there is one already."""
        headers = {"Authorization": f"Bearer {self.key}"} if (self.data_dir / "admin-key").exists() else {}
        return self.client.get(path, params=query or None, headers=headers)

    def metrics(self) -> str:
        """What /metrics says, with what is in the ledger counted from now on."""
        asked_s = time.time()
        while True:
            text = self.client.get("/metrics").text
            age = re.search(r"^answerback_ledger_numbers_age_seconds (.+)$", text, re.MULTILINE)
            assert age is not None
            if time.time() - float(age[1]) > asked_s:
                return text
            assert time.time() < asked_s + START_TIMEOUT_S
            time.sleep(0.05)

    def call(self, callid: str, **query: str) -> dict[str, Any]:
        """The record of a call."""
        answer = self.get(f"/v1/calls/{callid}", **query)
        assert answer.status_code == 200, answer.text
        record: dict[str, Any] = answer.json()
        return record

    def items(self, path: str, **query: str | int) -> list[dict[str, Any]]:
        """The first page of a list."""
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def await_ready(self, status: int = 200, timeout_s: float = 15.0) -> dict[str, str]:
        """Poll /readyz until it answers `status`; return what it says."""
        deadline_s = time.monotonic() + timeout_s
        while (answer := self.get("/readyz")).status_code != status:
            assert time.monotonic() < deadline_s, f"/readyz stays {answer.status_code}: {answer.text}"
            time.sleep(0.05)
        said: dict[str, str] = answer.json()
        return said

    def await_pending(self, count: int) -> None:
        """Wait until so many callbacks wait for their commit."""
        deadline_s = time.monotonic() + 15.0
        while f"answerback_intake_queue_depth {float(count)}\n" not in (text := self.client.get("/metrics").text):
            assert time.monotonic() < deadline_s, text
            time.sleep(0.02)

    # The file.

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Read the ledger's file as anybody could, once all that was answered is in it."""
        if self.up:
            self.await_recorded()
        return self._read(self.ledger, statement, *parameters)

    def await_recorded(self) -> None:
        """Wait until the ledger holds what the inbox does, where there is one."""
        deadline_s = time.monotonic() + 15.0
        while self.inbox.exists():
            ends = dict(self._read(self.inbox, _INBOX_ENDS))
            positions = dict(self._read(self.ledger, "SELECT log, position FROM log_positions"))
            if all(positions.get(log, 0) >= end for log, end in ends.items()):
                return
            assert time.monotonic() < deadline_s, self.stderr
            time.sleep(0.005)

    def _read(self, path: Path, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(statement, parameters).fetchall()

    @contextmanager
    def locked(self, name: str = "inbox.db") -> Iterator[None]:
        """Hold a file's write lock from this process: every commit of the inbox waits, or (`ledger.db`) of the recorder."""
        with locked(self.data_dir / name):
            yield


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock of a database file from this process."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


class Reply(NamedTuple):
    """One answer as read from the wire."""

    status: int
    headers: Message
    body: bytes


class Wire:
    """One TCP connection, byte by byte, for what a polite HTTP library would never send."""

    def __init__(self, gateway: Gateway, timeout_s: float = 15.0) -> None:
        self.socket = socket.create_connection(gateway.address, timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.socket.makefile("rb")
        self._send_error: ConnectionError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self.socket.close()

    def send(self, *segments: bytes) -> None:
        """Write each of `segments` on its own, until the other side hangs up: what it has said is then there to read."""
        try:
            for segment in segments:
                self.socket.sendall(segment)
        except (BrokenPipeError, ConnectionResetError) as error:
            self._send_error = error

    def await_taken(self) -> None:
        """Wait until the other side, on this machine, has read all that was sent."""
        deadline_s = time.monotonic() + 15.0
        ours, theirs = (f"{address[1]:04X}" for address in (self.socket.getsockname(), self.socket.getpeername()))
        while True:
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
                _, local, remote, _, queues, _, _, _, _, inode, *_ = line.split()
                if (local[-4:], remote[-4:], queues[-8:]) == (theirs, ours, "0" * 8) and inode != "0":
                    return
            assert time.monotonic() < deadline_s
            time.sleep(0.005)

    def read(self, *, head_only: bool = False) -> Reply:
        """Read one answer; a body only as long as Content-Length says. Raises ConnectionError where it could not be asked for."""
        line = self._file.readline()
        if not line and self._send_error is not None:
            raise self._send_error  # the system says it once: what is read then looks like an end
        assert line, "the connection was closed without an answer"
        headers = parse_headers(self._file)
        size_bytes = 0 if head_only else int(headers.get("content-length", "0"))
        return Reply(int(line.split()[1]), headers, self._file.read(size_bytes))

    def is_closed(self) -> bool:
        """Wait for the other side's end; True if it came with nothing more before it."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True


def request(body: bytes, *headers: bytes, path: str = CALLBACK) -> bytes:
    """The bytes of one POST; Content-Length is written where `headers` name no other framing."""
    framing = [] if any(h.lower().startswith(b"transfer-encoding") for h in headers) else [length(body)]
    return b"\r\n".join([f"POST {path} HTTP/1.1".encode(), b"Host: gateway", *framing, *headers, b"", body])


def length(body: bytes) -> bytes:
    """The Content-Length line of `body`."""
    return b"Content-Length: %d" % len(body)


def chunked(*chunks: bytes) -> bytes:
    """The bytes of a chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
