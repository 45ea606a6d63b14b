"""One module for each format of a file."""

from typing import Protocol

from answerback.exports.pages import Rows


class ByteSink(Protocol):
    """Where the bytes go."""

    def write(self, data: bytes, /) -> object:
        """Take all of `data`."""


class RowWriter(Protocol):
    """Rows in, bytes out."""

    def write(self, rows: Rows) -> None:
        """Add `rows`, none or some thousand."""

    def close(self) -> None:
        """Write what comes after the last row."""
