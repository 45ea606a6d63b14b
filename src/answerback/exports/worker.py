"""The process of one export, the file on standard output. It also ends when that cannot be written. Run by `process.ExportManager`."""

import os
import sys

from answerback.errors import AnswerbackError, LedgerUnavailable
from answerback.exports.spec import ExportJob
from answerback.exports.write import write_export
from answerback.gc_tuning import freeze_gc
from answerback.worker_process import is_wanted, receive_job


class _Pipe:
    """Standard output without a buffer: a page is larger than any."""

    def write(self, data: bytes, /) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(1, rest) :]


def main() -> None:
    """Do the job."""
    try:
        _run(receive_job(ExportJob))
    except BrokenPipeError:
        return
    except LedgerUnavailable as error:
        sys.exit(f"{LedgerUnavailable.__name__}: {error.reason.name}: {error.detail}")
    except (AnswerbackError, MemoryError, OSError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _run(task: ExportJob) -> None:
    ledger = task.opening.open()
    freeze_gc()
    try:
        write_export(ledger, task.export, _Pipe(), lambda _rows, _share: _check_still_wanted())
    finally:
        ledger.close()


def _check_still_wanted() -> None:
    if not is_wanted():
        raise BrokenPipeError


if __name__ == "__main__":
    main()
