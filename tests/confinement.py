"""Holds unit tests to code alone: no process, no file outside the directory for temporary ones, no peer on another machine."""

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_STARTS = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_ALLOWED = (os.path.realpath(tempfile.gettempdir()), os.devnull)
_CACHES = {"__pycache__", ".hypothesis"}
"""Where Python keeps what it compiled, and Hypothesis its examples."""


class Escape(BaseException):
    """A test did more than its layer may. No Exception: what is tested must not take it for a fault that it handles."""


_confined = False


@contextmanager
def confined() -> Iterator[None]:
    """Whatever this process does meanwhile beyond its code raises Escape."""
    global _confined  # noqa: PLW0603  # an audit hook is for the whole process, and for good
    _confined = True
    try:
        yield
    finally:
        _confined = False


def _judge(event: str, arguments: tuple[Any, ...]) -> None:
    if not _confined:
        return
    if event in _STARTS:
        raise Escape(f"{event}: a test that needs a process is no unit test")
    if event == "sqlite3.connect" or (event == "open" and arguments[2] & _WRITES):
        _judge_file(arguments[0])
    elif event == "socket.connect":
        _judge_peer(*arguments)


def _judge_peer(own: socket.socket, address: Any) -> None:
    sends = own.type == socket.SOCK_STREAM  # a datagram socket that is connected only asks for the way
    if sends and isinstance(address, tuple) and address[0] not in {"127.0.0.1", "::1"}:
        raise Escape(f"connects to {address[0]}: a test that needs another machine is no unit test")


def _judge_file(file: Any) -> None:
    if isinstance(file, int) or file == ":memory:":
        return
    path = os.path.realpath(os.fsdecode(file).removeprefix("file:").partition("?")[0])
    if not path.startswith(_ALLOWED) and _CACHES.isdisjoint(Path(path).parts):
        raise Escape(f"writes {path}: a unit test writes to tmp_path")


sys.addaudithook(_judge)
