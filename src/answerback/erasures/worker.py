"""The process of one erasure: the job as a line of JSON on standard input.

It gives way to whoever answers callbacks, and ends when whoever started it does: then its input ends. A failure is one line on
standard error and status 1. Run by `manager.ErasureManager`.
"""

import os
import select
import signal
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from answerback.erasures.erasure_run import ErasureJob, erase
from answerback.errors import AnswerbackError
from answerback.ledger.write.erasures import fail_erasure

_NICENESS = 10
_LOCK_TIMEOUT_S = 30.0  # the gateway writes most of the time, and nobody waits for us


def main() -> None:
    """Do what the first line asks for."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # whoever stops the gateway lets it end us
    os.nice(_NICENESS)
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=ErasureJob)
    try:
        with closing(msgspec.structs.replace(job.opening, lock_timeout_s=_LOCK_TIMEOUT_S).open()) as ledger:
            if job.is_unreadable:
                ledger.write(lambda c, _: fail_erasure(c, job.erasure_id, datetime.now(UTC)), idempotent=True)
                return
            erase(
                ledger, None if job.inbox is None else Path(job.inbox), job.erasure_id, job.number, _check_still_wanted
            )
    except AnswerbackError as error:
        sys.exit(f"{error}: {getattr(error, 'detail', '')}")


def _check_still_wanted() -> None:
    """Look whether the gateway is still there: nothing more ever comes in, so what can be read is the end."""
    if select.select([0], [], [], 0)[0]:
        sys.exit(1)


if __name__ == "__main__":
    main()
