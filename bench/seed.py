"""Fill a ledger with calls, as many as asked for, by the writing path that the gateway uses."""

import argparse
import random
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from answerback.domain.models import ParsedCallback, RawCallback
from answerback.emulator.history import CHANNELS, call_callbacks
from answerback.ledger import open_sqlite
from answerback.tencent.parsing import parse_callback

_BATCH = 4096
_DAYS = 30
_TICKS_PER_S = 10_000_000
_TICKS_BEFORE_1970 = 0x01B21DD213814000
_NODE = uuid.getnode()


def callids(count: int) -> Iterator[tuple[str, int]]:
    """UUIDv1 texts whose times rise evenly through the thirty days before now, and those times in Unix seconds."""
    now = uuid.uuid1().time
    first = now - _DAYS * 86_400 * _TICKS_PER_S
    for index in range(count):
        ticks = first + (now - first) * index // count
        fields = (ticks & 0xFFFFFFFF, (ticks >> 32) & 0xFFFF, (ticks >> 48) & 0x0FFF, index >> 8 & 0x3F, index & 0xFF)
        yield str(uuid.UUID(fields=(*fields, _NODE), version=1)), (ticks - _TICKS_BEFORE_1970) // _TICKS_PER_S


def received(callid: str, started_s: int, chance: random.Random) -> ParsedCallback:
    """The callback that says what became of one call: so that a figure for each call is one for each callback."""
    (channel,) = chance.choices(CHANNELS)
    last = call_callbacks(callid, datetime.fromtimestamp(started_s, UTC), channel, chance)[-1]
    return parse_callback(RawCallback(last.channel, last.body, last.received_at))


def main() -> None:
    """Fill, and say how fast it went at the beginning and at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--calls", type=int, required=True)
    given = parser.parse_args()
    ledger = open_sqlite(given.data_dir)
    have = ledger.calls(limit=1).items
    if have:
        raise SystemExit(f"{given.data_dir} holds calls already")
    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        filling = progress.add_task("filling", total=given.calls)
        batch: list[ParsedCallback] = []
        began_s = time.perf_counter()
        chance = random.Random(7)
        for index, (callid, started_s) in enumerate(callids(given.calls)):
            batch.append(received(callid, started_s, chance))
            if len(batch) == _BATCH or index == given.calls - 1:
                ledger.record(batch)
                progress.advance(filling, len(batch))
                batch = []
    ledger.close()
    print(f"{given.calls} calls in {time.perf_counter() - began_s:.0f} s")


if __name__ == "__main__":
    main()
