"""The process of one erasure. Run by `manager.ErasureManager`."""

import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from answerback.erasures.erasure_run import ErasureJob, erase
from answerback.errors import AnswerbackError
from answerback.ledger.write.erasures import fail_erasure
from answerback.worker_process import is_wanted, receive_job

_LOCK_TIMEOUT_S = 30.0  # the gateway writes most of the time, and nobody waits for us


def main() -> None:
    """Do the job."""
    job = receive_job(ErasureJob)
    try:
        with closing(msgspec.structs.replace(job.ledger_config, lock_timeout_s=_LOCK_TIMEOUT_S).open()) as ledger:
            if job.is_unreadable:
                ledger.write(lambda c, _: fail_erasure(c, job.erasure_id, datetime.now(UTC)), idempotent=True)
                return
            erase(
                ledger, None if job.inbox is None else Path(job.inbox), job.erasure_id, job.number, _check_still_wanted
            )
    except AnswerbackError as error:
        sys.exit(f"{error}: {getattr(error, 'detail', '')}")


def _check_still_wanted() -> None:
    if not is_wanted():
        sys.exit(1)


if __name__ == "__main__":
    main()
