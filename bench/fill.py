"""Fill a ledger with calls, as many as asked for, by the writing path that the gateway uses."""

import argparse
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from answerback.calls import identify
from answerback.ledger import open_ledger
from answerback.model import Received
from answerback.tencent.callbacks import parse

_BATCH = 4096
_TICKS_PER_DAY = 24 * 60 * 60 * 10_000_000
_NODE = uuid.getnode()
_BODY = (
    b'{"voiceprompt_callback":{"result":"0","accept_time":"1470197211","call_from":"","callid":"%b",'
    b'"end_calltime":"1470197221","fee":"1","mobile":"138%08d","nationcode":"86","start_calltime":"1470197196"}}'
)


def callids(count: int) -> Iterator[str]:
    """UUIDv1 texts whose times rise evenly through the thirty days before now."""
    now = uuid.uuid1().time
    first = now - 30 * _TICKS_PER_DAY
    for index in range(count):
        ticks = first + (now - first) * index // count
        fields = (ticks & 0xFFFFFFFF, (ticks >> 32) & 0xFFFF, (ticks >> 48) & 0x0FFF, index >> 8 & 0x3F, index & 0xFF)
        yield str(uuid.UUID(fields=(*fields, _NODE), version=1))


def received(callid: str, index: int) -> Received:
    """The callback of one answered call."""
    raw = _BODY % (callid.encode(), index * 7_919 % 100_000_000)
    callback = parse(raw)
    return Received(
        channel="default",
        callback=callback,
        identity=identify("default", callback),
        raw=raw,
        received_at=datetime.now(UTC),
    )


def main() -> None:
    """Fill, and say how fast it went at the beginning and at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--calls", type=int, required=True)
    given = parser.parse_args()
    ledger = open_ledger(given.data_dir)
    have = ledger.calls(limit=1).items
    if have:
        raise SystemExit(f"{given.data_dir} holds calls already")
    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        filling = progress.add_task("filling", total=given.calls)
        batch: list[Received] = []
        began_s = time.perf_counter()
        for index, callid in enumerate(callids(given.calls)):
            batch.append(received(callid, index))
            if len(batch) == _BATCH or index == given.calls - 1:
                ledger.record(batch)
                progress.advance(filling, len(batch))
                batch = []
    ledger.close()
    print(f"{given.calls} calls in {time.perf_counter() - began_s:.0f} s")


if __name__ == "__main__":
    main()
