"""The process beside a demo's gateway: it records the past, and removes the directory when the gateway's process is gone.

So nothing is left even of a demo that was killed. The gateway's process is gone when standard input ends.
"""

import contextlib
import os
import random
import shutil
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from answerback.domain.models import RawCallback
from answerback.emulator.history import CHINA, past_callbacks
from answerback.tencent.parsing import parse_or_reject

_RECENT = timedelta(hours=30)  # yesterday and today
_BATCH = 1000
_STDOUT = 1
_JUNK = (b"ping", b'{"voiceprompt_callback":{"result":"0"}}', b'{"smsstatus_callback":{}}')
_TRIES, _PAUSE_S = 20, 0.1


def main() -> None:
    """`answerback.demo.companion DATA_DIR DAYS SEED`: says on standard output how many of how many callbacks are recorded."""
    data_dir, days, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    os.umask(0o077)
    try:
        with contextlib.suppress(BrokenPipeError):
            _record_past(data_dir, days, seed)
    finally:
        os.close(_STDOUT)
        sys.stdin.read()
        remove(data_dir.parent)


def _record_past(data_dir: Path, days: int, seed: int) -> None:
    """What the first page shows comes first."""
    from answerback.ledger import open_sqlite  # the process that starts this one needs `remove` alone, and in a hurry

    now = datetime.now(UTC)
    first = now.astimezone(CHINA).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    recent = max(first, now - _RECENT)
    with contextlib.closing(open_sqlite(data_dir, lock_timeout_s=30, allow_unsafe_filesystem=True)) as ledger:
        done, past = 0, _past_between(recent, now, seed)
        past += [RawCallback("default", body, now - timedelta(hours=hour)) for hour, body in enumerate(_JUNK, 1)]
        while past:
            batch, past = past[:_BATCH], past[_BATCH:]
            ledger.record_batch(list(map(parse_or_reject, batch)), enqueue_deliveries=False)
            if not done:
                os.nice(10)  # the rest has time
                past += _past_between(first, recent, seed + 1) if first < recent else []
            done += len(batch)
            os.write(_STDOUT, b"%d %d\n" % (done, done + len(past)))


def _past_between(first: datetime, until: datetime, seed: int) -> list[RawCallback]:
    past = past_callbacks(first, until, random.Random(seed))  # noqa: S311  # chance, no secret
    now = datetime.now(UTC)
    return [RawCallback(one.channel, one.body, one.received_at) for one in past if one.received_at < now]


def remove(directory: Path) -> None:
    """Remove a directory, though a process that is about to end may still write there."""
    for _ in range(_TRIES):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    main()
