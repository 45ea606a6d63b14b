"""Connections that threads share, and processes do not."""

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from answerback.storage.connections import Closable, close_on_failure

C = TypeVar("C", bound=Closable)


class _ProcessConnections(Generic[C]):
    """What belongs to one process: a connection must be neither used nor closed across a fork."""

    def __init__(self) -> None:
        self.kept: dict[str, C] = {}
        self.locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


class Connections(Generic[C]):
    """A connection of each process for each purpose, made by `connect(purpose)` when it is used first."""

    def __init__(self, connect: Callable[[str], C]) -> None:
        self._connect = connect
        self._processes: dict[int, _ProcessConnections[C]] = {}

    @contextmanager
    def use(self, purpose: str) -> Iterator[C]:
        """The connection, to one thread at a time; after a failure the next one gets a fresh one."""
        process = self._process()
        with process.locks[purpose]:
            connection = process.kept.pop(purpose, None) or self._connect(purpose)
            with close_on_failure(connection):
                yield connection
            process.kept[purpose] = connection

    def close(self) -> None:
        """Close those of this process; the next use makes new ones."""
        process = self._process()
        for purpose in list(process.kept):
            with process.locks[purpose]:
                if (connection := process.kept.pop(purpose, None)) is not None:
                    connection.close()

    def _process(self) -> _ProcessConnections[C]:
        pid = os.getpid()
        return self._processes.get(pid) or self._processes.setdefault(pid, _ProcessConnections())
