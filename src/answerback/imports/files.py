"""The lines of a file, gzipped or not, and how far they are read."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from answerback.errors import ConfigError

_LONGEST_BYTES = 1024 * 1024
_GZIP = b"\x1f\x8b"
STDIN = Path("-")


class Source:
    """One file, line by line. Longer lines than a MiB come cut off: nothing that is a callback is so long."""

    def __init__(self, name: str, handle: BinaryIO, lines: BinaryIO) -> None:
        self.name = name
        self._handle = handle
        self._lines = lines

    @property
    def read_bytes(self) -> int:
        """How much of the file, as it lies on disk, was read."""
        return self._handle.tell() if self._handle.seekable() else 0

    def __iter__(self) -> Iterator[bytes]:
        """Every line. Raises ConfigError where it cannot be read to its end."""
        try:
            while line := self._lines.readline(_LONGEST_BYTES):
                yield line
                while len(line) == _LONGEST_BYTES and not line.endswith(b"\n"):
                    line = self._lines.readline(_LONGEST_BYTES)
        except (EOFError, zlib.error, OSError) as error:
            raise ConfigError(f"{self.name}: cannot be read to its end: {error}") from error


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """A file, or standard input for `-`. Raises ConfigError where it cannot be opened."""
    if path == STDIN:
        yield Source("standard input", sys.stdin.buffer, sys.stdin.buffer)
        return
    try:
        handle = path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    with handle:
        packed = handle.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
        lines = cast(BinaryIO, gzip.GzipFile(fileobj=handle)) if packed else handle
        yield Source(str(path), handle, lines)


def size_of(paths: list[Path]) -> int | None:
    """The bytes of all files; None where one of them has no size."""
    try:
        return None if STDIN in paths else sum(path.stat().st_size for path in paths)
    except OSError:
        return None
