"""A file, gzipped or not, as pieces of bytes, and how far it is read."""

import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from answerback.errors import ConfigError

_PIECE_BYTES = 64 * 1024
_PACKED_BYTES = 4096
_GZIP = b"\x1f\x8b"
_WITH_GZIP_HEADER = 31
STDIN = Path("-")


class InputFile:
    """One file. `error` says, once it is read, what kept it from being read to its end; what came before is good."""

    def __init__(self, name: str, handle: BinaryIO) -> None:
        self.name = name
        self.error: str | None = None
        self._handle = handle

    @property
    def read_bytes(self) -> int:
        """How much of the file, as it lies on disk, was read."""
        return self._handle.tell() if self._handle.seekable() else 0

    def __iter__(self) -> Iterator[bytes]:
        """Every piece, as far as it can be read."""
        try:
            first = self._handle.read(_PACKED_BYTES)
            yield from self._unpack(first) if first.startswith(_GZIP) else self._pass_through(first)
        except (EOFError, zlib.error, OSError) as error:
            self.error = f"{self.name}: cannot be read to its end: {error}"

    def _pass_through(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            yield piece
            piece = self._handle.read(_PIECE_BYTES)

    def _unpack(self, packed: bytes) -> Iterator[bytes]:
        """One gzip, or several in a row."""
        member = zlib.decompressobj(_WITH_GZIP_HEADER)
        while packed:
            if member.eof:
                member = zlib.decompressobj(_WITH_GZIP_HEADER)
            before = member.copy()
            try:
                piece = member.decompress(packed, _PIECE_BYTES)
            except zlib.error:
                yield _decompress_before_error(before, packed)
                raise
            if piece:
                yield piece
            packed = member.unused_data.lstrip(b"\0") if member.eof else member.unconsumed_tail
            packed = packed or self._handle.read(_PACKED_BYTES)
        yield member.flush()
        if not member.eof:
            raise EOFError("the gzip file is truncated")


def _decompress_before_error(member: "zlib._Decompress", packed: bytes) -> bytes:
    """What comes before the byte that is damaged: zlib keeps back all that it unpacked together with it."""
    good = bytearray()
    with suppress(zlib.error):
        for byte in packed:
            good += member.decompress(bytes([byte]))
    return bytes(good)


@contextmanager
def open_input(path: Path) -> Iterator[InputFile]:
    """A file, or standard input for `-`. Raises ConfigError where it cannot be opened."""
    if path == STDIN:
        yield InputFile("standard input", sys.stdin.buffer)
        return
    try:
        handle = path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    with handle:
        yield InputFile(str(path), handle)


def total_size(paths: list[Path]) -> int | None:
    """The bytes of all files; None where one of them has no size."""
    try:
        return None if STDIN in paths else sum(path.stat().st_size for path in paths)
    except OSError:
        return None
