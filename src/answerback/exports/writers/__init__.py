"""One module for each format of a file."""

from typing import Any, Protocol

from answerback.exports.pages import Rows


class ByteSink(Protocol):
    """Where the bytes go."""

    def write(self, data: bytes, /) -> object:
        """Take all of `data`."""


class SinkFile:
    """A sink as the file that libraries want: it is only ever written to, from its beginning to its end."""

    closed = False

    def __init__(self, out: ByteSink) -> None:
        self._out = out

    def write(self, data: Any) -> int:
        self._out.write(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Everything went out already."""

    def close(self) -> None:
        """The file belongs to whoever opened it."""


class RowWriter(Protocol):
    """Rows in, bytes out."""

    def write(self, rows: Rows) -> None:
        """Add `rows`, none or some thousand."""

    def close(self) -> None:
        """Write what comes after the last row."""
