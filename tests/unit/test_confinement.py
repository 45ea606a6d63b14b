"""What a unit test may not do fails it."""

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from confinement import Escape


def connect(address: str) -> None:
    """Open a connection."""
    with socket.socket() as peer:
        peer.connect((address, 80))


@pytest.mark.parametrize(
    "act",
    [
        lambda: subprocess.run([sys.executable, "-V"], check=False),
        lambda: os.posix_spawn(sys.executable, [sys.executable, "-V"], {}),
        os.fork,
        lambda: os.system("true"),
        lambda: Path("/answerback").write_text(""),
        lambda: os.open("/", os.O_TMPFILE | os.O_WRONLY),
        lambda: sqlite3.connect("file:/answerback.db?mode=rwc", uri=True),
        lambda: connect("192.0.2.1"),
    ],
    ids=["run", "spawn", "fork", "system", "write", "os.open", "sqlite3", "connect"],
)
def test_what_is_beyond_code_is_refused(act: Callable[[], object]) -> None:
    """Before it is done, and not as an Exception that the code under test could swallow."""
    with pytest.raises(Escape):
        act()


def test_temporary_files_are_allowed(tmp_path: Path) -> None:
    """As are reading, memory, and peers in the same process."""
    (tmp_path / "file").write_text("x")
    sqlite3.connect(tmp_path / "ledger.db").close()
    sqlite3.connect(":memory:").close()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        assert Path(__file__).read_bytes()
