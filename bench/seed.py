"""Fill a ledger with calls, as many as asked for, by the writing path that the gateway uses."""

import argparse
import random
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from answerback.domain.calls import callback_fingerprint
from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.models import ParsedCallback
from answerback.ledger import open_sqlite
from answerback.tencent.callbacks import parse

_BATCH = 4096
_DAYS = 30
_TICKS_PER_S = 10_000_000
_TICKS_BEFORE_1970 = 0x01B21DD213814000
_NODE = uuid.getnode()
_PREFIXES = (133, 134, 138, 139, 150, 152, 158, 159, 166, 173, 176, 177, 180, 186, 187, 189, 192, 199)
_CODES = (1, 2, 3, 5, 5, 5, 8, 8, 9, 10, 12, 15, 18, 20, 24, 29)
_STATUS = (
    b'{"%b":{"result":"%d","accept_time":"%b","call_from":"","callid":"%b","end_calltime":"%d","fee":"%d",'
    b'"mobile":"%b","nationcode":"86","start_calltime":"%d"}}'
)
_FAILURE = (
    '{"voice_failure_callback":{"call_from":"","callid":"%s","failure_code":%d,"failure_reason":"%s","mobile":"%s",'
    '"nationcode":"86"}}'
)


def callids(count: int) -> Iterator[tuple[str, int]]:
    """UUIDv1 texts whose times rise evenly through the thirty days before now, and those times in Unix seconds."""
    now = uuid.uuid1().time
    first = now - _DAYS * 86_400 * _TICKS_PER_S
    for index in range(count):
        ticks = first + (now - first) * index // count
        fields = (ticks & 0xFFFFFFFF, (ticks >> 32) & 0xFFFF, (ticks >> 48) & 0x0FFF, index >> 8 & 0x3F, index & 0xFF)
        yield str(uuid.UUID(fields=(*fields, _NODE), version=1)), (ticks - _TICKS_BEFORE_1970) // _TICKS_PER_S


def received(callid: str, started_s: int, chance: random.Random) -> ParsedCallback:
    """The callback of one call: of three channels, seven in ten answered, two not, one failed; a fee in 500 differs."""
    mobile = f"{chance.choice(_PREFIXES)}{chance.randrange(10**8):08}"
    ring_s, talk_s, luck = chance.randrange(4, 45), min(600, int(chance.expovariate(1 / 18)) + 1), chance.random()
    ended_s = started_s + ring_s
    if luck < 0.1:
        code = chance.choice(_CODES)
        raw = (_FAILURE % (callid, code, FAILURE_REASONS[code].zh, mobile)).encode()
    else:
        answered = luck > 0.3
        name = b"voicecode_callback" if chance.random() < 0.3 else b"voiceprompt_callback"
        fee = (-(-talk_s // 60) + (chance.random() < 0.002)) * answered
        accept = str(ended_s).encode() if answered else b""
        ended_s += talk_s * answered
        raw = _STATUS % (name, not answered, accept, callid.encode(), ended_s, fee, mobile.encode(), started_s)
    callback, channel = parse(raw), chance.choice(("default", "alerts", "codes"))
    return ParsedCallback(
        channel=channel,
        callback=callback,
        fingerprint=callback_fingerprint(channel, callback),
        raw=raw,
        received_at=datetime.fromtimestamp(ended_s + 1, UTC),
    )


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
