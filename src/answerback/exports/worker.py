"""The process of one export, the file on standard output. It also ends when that cannot be written. Run by `process.ExportManager`."""

import os
import sys

from answerback.errors import AnswerbackError, LedgerUnavailable
from answerback.exports.spec import ExportJob
from answerback.exports.write import iter_export
from answerback.gc_tuning import freeze_gc
from answerback.worker_process import is_wanted, receive_job


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
    ledger = task.ledger_config.open()
    freeze_gc()
    try:
        for chunk in iter_export(ledger, task.export):
            _write(chunk.data)
            if not is_wanted():
                return
    finally:
        ledger.close()


def _write(data: bytes) -> None:
    """Standard output without a buffer: a page is larger than any."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]


if __name__ == "__main__":
    main()
