"""The command `answerback` without the start of Python and without its imports: forked from a process that has them.

What is forked is a process like any other: arguments, directory, environment, files, signals and status are its own. Only the
name that `ps` shows is not. Where the environment differs in more than our own settings the program is executed by what was
forked, because the interpreter reads some of it at its start.

A gateway has its workers, of exports and erasures, forked by the same process, for it has threads, which a fork of its own would lose.

However the tests end, the process that forks sees the end of its socket and ends, and with it, by PR_SET_PDEATHSIG, all that
it forked. That signal is sent when the thread that forked ends: the process that forks has one only.
"""

import asyncio
import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, ClassVar, NamedTuple, NoReturn, Self

COMMAND = Path(sys.executable).with_name("answerback")
RECEIVER = Path(__file__).with_name("receivers") / "receiver.py"
PEER = Path(__file__).with_name("relay") / "cluster_harness.py"
EXPORT = "answerback.exports.worker"
ERASURE = "answerback.erasures.worker"
WRITER = "answerback.ledger.writer.process"
EXPORTER = "exports-"
"""How a forked process of an export is called, before the id of its gateway."""
OURS = "ANSWERBACK_"
_LOCALES = ("LC_ALL", "LANG")
LOCALE = {"LC_ALL": "C.UTF-8"}
"""That of the tests, whose words are English, and of the process that forks."""
_LENGTH_BYTES = 4
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PRELOADED = (
    "answerback.service.backend",
    "answerback.cli.main",
    "answerback.api.app",
    "answerback.api.metrics",
    "answerback.console.app",
    "answerback.service.serving",
    "answerback.relay.http_client",
    EXPORT,
    ERASURE,
    WRITER,
    "answerback.alerts",
    "answerback.emulator.serving",
    "uvicorn.lifespan.off",
    "anyio._backends._asyncio",
    "encodings.idna",
    "receivers.receiver",
)


def _foreign(environment: Mapping[str, str]) -> dict[str, str]:
    """What is not a setting of ours, nor changed by tests and read by nothing at the start."""
    own = ["COLUMNS", "PYTEST_CURRENT_TEST"]
    own += [
        name for name in _LOCALES if environment.get(name, "").endswith(".UTF-8")
    ]  # Python's start reads no more of it
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith((OURS, "OTEL_")) and name not in own and not name.lower().endswith("_proxy")
    }


# The side of the tests.


class Forked:
    """A forked program; has what the tests use of `subprocess.Popen`."""

    def __init__(self, status: socket.socket) -> None:
        self.status = status
        """Says its exit status at its end."""
        self.pid = int(_read(status))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status, if it has ended; minus the number of the signal that ended it."""
        with contextlib.suppress(TimeoutError):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended. Raises TimeoutError, as `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self.status, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise Expired([str(COMMAND)], timeout or 0.0)
            self.returncode = int(_read(self.status))
            self.status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Signal it, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has, a moment ago
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Expired(subprocess.TimeoutExpired, TimeoutError):
    """It has not ended in time."""


class _Server:
    """The process that forks, started when it is first asked; it ends with this one."""

    def __init__(self, control: socket.socket | None = None) -> None:
        self.environment = _foreign({**os.environ, **LOCALE})
        self._asking = threading.Lock()
        self._control = control

    def start(self, order: Mapping[str, Any], files: Sequence[int]) -> Forked:
        """Fork a program with these standard files."""
        reported = json.dumps(order).encode()
        ours, theirs = socket.socketpair()
        with theirs, self._asking:
            control = self._connected()
            socket.send_fds(control, [len(reported).to_bytes(_LENGTH_BYTES, "big")], [*files, theirs.fileno()])
            control.sendall(reported)
            return Forked(ours)

    def _connected(self) -> socket.socket:
        if self._control is None:
            self._control, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, __file__, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={**self.environment, "COLUMNS": "240"},
                )
        return self._control


_server = _Server()


def launch(
    arguments: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdout: IO[bytes],
    stderr: IO[bytes],
    executed: bool = False,
    program: Path = COMMAND,
) -> Forked:
    """Start `answerback` with `arguments`, without input; `executed`: as a shell does, from the start of Python on.

    The other programs that there are to be started are RECEIVER and PEER.
    """
    command = [str(program), *map(str, arguments)]
    executed = executed or _foreign(LOCALE | dict(env)) != _server.environment
    if executed and program == RECEIVER:
        command = [sys.executable, "-I", *command]
    order = {"command": command, "cwd": str(cwd), "environment": dict(env), "executed": executed}
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123  # as subprocess does
        return _server.start(order, [nothing.fileno(), stdout.fileno(), stderr.fileno()])


class WriterProcess:
    """For `answerback.ledger.writer.spawning` in the tests' own process, in place of `subprocess`: its writers are forked."""

    DEVNULL = subprocess.DEVNULL
    TimeoutExpired = subprocess.TimeoutExpired
    started: ClassVar[list[Forked]] = []
    """All of them; whose `returncode` is known has ended, and its id may be another's by now."""

    @classmethod
    def Popen(cls, _command: list[str], *, pass_fds: Sequence[int], **_: Any) -> Forked:  # noqa: N802  # subprocess's name
        """The writer that serves the socket."""
        order = {"command": [WRITER], "cwd": "/", "environment": dict(os.environ), "executed": False}
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123  # as subprocess does
            forked = _server.start(order, [nothing.fileno(), 1, 2, *pass_fds])
        cls.started.append(forked)
        return forked


def _read(source: socket.socket) -> bytes:
    """A message of the fork server: a number, and a line's end."""
    said = b""
    while not said.endswith(b"\n"):
        part = source.recv(1)  # the next message may be there already
        assert part, "the process that forks ended"
        said += part
    return said


# The side of the process that forks.


class _Child(NamedTuple):
    """What a forked process knows: what it is to be, and its own way to order."""

    order: dict[str, Any]
    control: socket.socket


class _Forks:
    """The loop of the process that forks."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._orderers = {control.fileno(): control}
        self._living: dict[int, tuple[int, socket.socket]] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)

    def serve(self) -> _Child | None:
        """Fork for each order; returns in each child, and, once the tests can order no more, None."""
        with self._selector:
            while True:
                for key, _ in self._selector.select():
                    if key.fd in self._living:
                        self._bury(key.fd)
                    elif (order := self._read(self._orderers[key.fd])) is not None:
                        if (child := self._fork(*order)) is not None:
                            return child
                    elif key.fileobj is self._control:
                        return None
                    else:
                        self._selector.unregister(key.fileobj)
                        self._orderers.pop(key.fd).close()

    def _bury(self, watched: int) -> None:
        self._selector.unregister(watched)
        pid, status = self._living.pop(watched)
        os.close(watched)
        _report(status, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        status.close()

    @staticmethod
    def _read(orderer: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
        """An order and its files; None at the end."""
        head, files, _, _ = socket.recv_fds(orderer, _LENGTH_BYTES, 5)
        return (json.loads(_receive(orderer, int.from_bytes(head, "big"))), files) if head else None

    def _fork(self, order: dict[str, Any], files: list[int]) -> _Child | None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            for number, file in enumerate(files[:3]):
                os.dup2(file, number)
            for file in [*files[:3], files[-1], *self._living]:
                os.close(file)
            order["command"] += map(str, files[3:-1])
            for other in [ours, *self._orderers.values(), *(status for _, status in self._living.values())]:
                other.close()
            return _Child(order, theirs)
        theirs.close()
        status = socket.socket(fileno=files.pop())
        for file in files:
            os.close(file)
        _report(status, pid)
        watched = os.pidfd_open(pid)
        self._living[watched] = (pid, status)
        self._orderers[ours.fileno()] = ours
        self._selector.register(watched, selectors.EVENT_READ)
        self._selector.register(ours, selectors.EVENT_READ)
        return None


def _report(status: socket.socket, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # who asked does not want to know any more
        status.sendall(b"%d\n" % number)


def _receive(control: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        received += control.recv(size - len(received))
    return received


def _do_once() -> None:
    """Do what imports or works out something the first time: what comes of it is thrown away."""
    importlib.import_module("apprise").Apprise().add("json://127.0.0.1/")
    importlib.import_module("answerback.config").load_settings(None, {})
    importlib.import_module("answerback.api.app").build_api(*[None] * 4, ["default"], None, "UTC", *[None] * 8)
    with TemporaryDirectory() as home:
        importlib.import_module("answerback.ledger").open_sqlite(Path(home), allow_unsafe_filesystem=True).close()


def main() -> None:
    """Import everything, fork, and in each child be the program."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests; this ends when they do
    for name in _PRELOADED:
        importlib.import_module(name)
    for path in Path(importlib.import_module("answerback.cli").__path__[0]).glob("*.py"):
        importlib.import_module(f"answerback.cli.{path.stem}")
    _do_once()
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, every page
    assert threading.active_count() == len(os.listdir("/proc/self/task")) == 1, "a fork would lose a thread"  # noqa: PTH208
    with socket.socket(fileno=int(sys.argv[1])) as control:
        child = _Forks(control).serve()
    if child is None:
        return
    order, own = child
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(order["cwd"])
    if order["executed"]:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python's own change, as SIGXFSZ
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        os.execve(order["command"][0], order["command"], order["environment"])  # what the tests name
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    sys.argv = order["command"]
    if sys.argv[0] == str(RECEIVER):
        _leave(importlib.import_module("receivers.receiver").main)
    if sys.argv[0] == WRITER:
        os.setsid()
        _leave(importlib.import_module(WRITER).main)
    if (worker := sys.argv[0]) in (EXPORT, ERASURE):
        own.close()
        os.setsid()
        ctypes.CDLL(None).prctl(_PR_SET_NAME, f"{worker.split('.')[1]}-{sys.argv[1]}".encode())
        _leave(importlib.import_module(worker).main)
    vars(importlib.import_module("answerback.ledger.writer.spawning"))["subprocess"] = _Subprocess
    vars(importlib.import_module("answerback.worker_process"))["spawn"] = partial(_Worker.spawn, _Server(own))
    if sys.argv[0] == str(PEER):
        _leave(importlib.import_module("relay.cluster_harness").main)
    _leave(importlib.import_module("answerback.cli").app)


class _Subprocess:
    """What the gateway starts its writer with: forked as long as it has no thread yet, executed where it is started again."""

    DEVNULL = subprocess.DEVNULL
    TimeoutExpired = subprocess.TimeoutExpired

    class Popen(subprocess.Popen[bytes]):
        """The writer."""

        def __init__(self, command: list[str], **how: Any) -> None:
            if threading.active_count() > 1:
                super().__init__(command, **how)
                return
            self.args, self.returncode = command, None
            self.stdin = self.stdout = self.stderr = None
            self._waitpid_lock = threading.Lock()
            self.pid = os.fork()
            if self.pid == 0:
                os.setsid()
                _close_others(how["pass_fds"])
                sys.argv = command[2:]
                _leave(importlib.import_module("answerback.ledger.writer.process").main)


class _Worker:
    """A worker, forked by what forked its gateway; has what that uses of `asyncio.subprocess.Process`."""

    def __init__(self, forked: Forked, pipes: Sequence[asyncio.BaseTransport], streams: Sequence[Any]) -> None:
        self.stdin, self.stdout, self.stderr = streams
        self._pid = forked.pid
        self._pipes = pipes
        forked.status.setblocking(False)  # noqa: FBT003  # the socket module takes it by place
        self._ended = asyncio.ensure_future(asyncio.get_running_loop().sock_recv(forked.status, 64))
        self._ended.add_done_callback(lambda _: forked.status.close())

    @classmethod
    async def spawn(cls, server: _Server, module: str) -> Self:
        """As `answerback.worker_process.spawn`."""
        loop, limit = asyncio.get_running_loop(), importlib.import_module("answerback.worker_process").CHUNK_BYTES
        theirs, stdin = os.pipe()
        files, ends = [os.fdopen(stdin, "wb", 0)], [theirs]
        for _ in ("output", "errors"):
            ours, theirs = os.pipe()
            files.append(os.fdopen(ours, "rb", 0))
            ends.append(theirs)
        order = {"command": [module, str(os.getpid())], "cwd": "/", "environment": dict(os.environ), "executed": False}
        try:
            forked = await asyncio.to_thread(server.start, order, ends)
        finally:
            for end in ends:
                os.close(end)
        pipe, flow = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, files[0])
        pipes: list[asyncio.BaseTransport] = [pipe]
        streams: list[Any] = [asyncio.StreamWriter(pipe, flow, None, loop)]
        for file in files[1:]:
            streams.append(reader := asyncio.StreamReader(limit))
            pipes.append((await loop.connect_read_pipe(partial(asyncio.StreamReaderProtocol, reader), file))[0])
        return cls(forked, pipes, streams)

    @property
    def returncode(self) -> int | None:
        return int(self._ended.result()) if self._ended.done() else None

    async def wait(self) -> int:
        status = int(await asyncio.shield(self._ended))
        for pipe in self._pipes:
            pipe.close()
        return status

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)


def _close_others(kept: Sequence[int]) -> None:
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if (number := int(name)) > 2 and number not in kept:
            with contextlib.suppress(OSError):  # the one that the listing itself had
                os.close(number)


def _leave(command: Callable[[], object]) -> NoReturn:
    """Run the command, and end as Python does, but without taking down what was imported before the fork."""
    status = 0
    try:
        command()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:  # noqa: BLE001  # the interpreter's last resort
        sys.excepthook(*sys.exc_info())
        status = 1
    vars(threading)["_shutdown"]()  # nothing public ends idle threads and runs what is left for the end
    vars(atexit)["_run_exitfuncs"]()
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
