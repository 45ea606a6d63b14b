"""The process of one export: what is wanted as a line of JSON on standard input, the file on standard output.

It gives way to whoever answers callbacks, and ends when whoever wanted it goes away: then its input ends, and its output
cannot be written. A failure is one line on standard error and status 1. Run by `process.ExportManager`.
"""

import os
import select
import signal
import sys

import msgspec

from answerback.errors import AnswerbackError, LedgerUnavailable
from answerback.exports.spec import ExportJob
from answerback.exports.write import write_export
from answerback.gc_tuning import freeze_gc

_NICENESS = 10


class _Pipe:
    """Standard output without a buffer: a page is larger than any."""

    def write(self, data: bytes, /) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(1, rest) :]


def main() -> None:
    """Do what the first line asks for."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # whoever stops the gateway lets it end us
    os.nice(_NICENESS)
    try:
        _run(msgspec.json.decode(_first_line(), type=ExportJob))
    except BrokenPipeError:
        return
    except LedgerUnavailable as error:
        sys.exit(f"{LedgerUnavailable.__name__}: {error.reason.name}: {error.detail}")
    except (AnswerbackError, MemoryError, OSError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n") and (piece := os.read(0, 65_536)):
        line += piece
    return line


def _run(task: ExportJob) -> None:
    ledger = task.opening.open()
    freeze_gc()
    try:
        write_export(ledger, task.export, _Pipe(), lambda _rows, _share: _check_still_wanted())
    finally:
        ledger.close()


def _check_still_wanted() -> None:
    """Look whether somebody still wants it: nothing more ever comes in, so what can be read is the end."""
    if select.select([0], [], [], 0)[0]:
        raise BrokenPipeError


if __name__ == "__main__":
    main()
