import asyncio
import math
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.models import CallbackKind
from answerback.emulator.callback_sender import Refusal
from answerback.emulator.latency_histogram import HdrHistogram
from answerback.emulator.load import MIX, CallidSequence, LoadGenerator, LoadPlan, LoadStats
from answerback.errors import ConfigError
from answerback.tencent.callbacks import parse

OK = b'{"result":0,"errmsg":"OK"}'
SECOND = 1_000_000
END = b"\n\n"
"""An answer that ends so is followed by the end of the connection."""
PLAN = LoadPlan(rate=500, duration_s=0.2, connections=20, timeout_s=5, seed=7)


# The histogram.


@given(
    st.lists(st.one_of(st.integers(0, 5000), st.integers(0, 10**5 * SECOND)), min_size=1, max_size=300),
    st.one_of(st.sampled_from([50, 90, 99, 99.9, 100]), st.floats(0.01, 100)),
)
def test_a_percentile_is_that_of_the_sorted_latencies(latencies_us: list[int], percent: float) -> None:
    """It is never below the true one, and above it by less than one in a thousand."""
    latencies = HdrHistogram()
    for latency_us in latencies_us:
        latencies.record(latency_us / SECOND)
    true_us = sorted(latencies_us)[max(1, math.ceil(len(latencies_us) * percent / 100)) - 1]
    reported_us = round(latencies.percentile(percent) * SECOND)
    assert true_us <= reported_us <= true_us + true_us // 1024
    assert latencies.total == len(latencies_us)


@given(st.lists(st.integers(0, 10**5 * SECOND), min_size=1))
def test_the_largest_latency_is_exact(latencies_us: list[int]) -> None:
    """100 % do not exceed the largest one itself, however large."""
    latencies = HdrHistogram()
    for latency_us in latencies_us:
        latencies.record(latency_us / SECOND)
    assert round(latencies.percentile(100) * SECOND) == max(latencies_us)


def test_no_latencies_have_no_percentiles() -> None:
    """Without any answer no latency is reported that could be taken for a fast one's: the total says so."""
    latencies = HdrHistogram()
    assert (latencies.total, latencies.percentile(99)) == (0, 0.0)


# What is sent.


def test_callids_are_new_time_ordered_uuids() -> None:
    """They are UUIDv1 of this moment, no two of a run or of two runs are the same, and no network card's address shows."""
    one, other = CallidSequence(), CallidSequence()
    ids = [uuid.UUID(one[turn]) for turn in range(5000)]
    assert all((id_.version, id_.variant) == (1, uuid.RFC_4122) for id_ in ids)
    assert [id_.time for id_ in ids] == list(range(ids[0].time, ids[0].time + 5000))
    reported_s = (ids[0].time - 0x01B21DD213814000) / 1e7
    assert time.time() - 10 < reported_s <= time.time()
    assert ids[0].node >> 40 & 1
    assert not {str(id_) for id_ in ids} & {other[turn] for turn in range(5000)}


class Receiver:
    """Answers callbacks on a port of 127.0.0.1, as `answer` says, and keeps what it got."""

    def __init__(self, answer: Callable[[int], Awaitable[bytes]]) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.busiest = 0
        self._busy = 0
        self._talks: list[asyncio.Task[None]] = []
        self._answer = answer

    @property
    def connections(self) -> int:
        """How many were opened."""
        return len(self._talks)

    async def load(self, plan: LoadPlan) -> LoadStats:
        """Listen, and be loaded by `plan`."""
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        async with server:
            load = LoadGenerator(f"http://me:pass@127.0.0.1:{server.sockets[0].getsockname()[1]}/a?b=c", plan)
            await load.run()
            for talk in self._talks:  # from Python 3.12 on the server's end waits for them
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)
            await asyncio.sleep(0)  # the sockets close
        return load.stats

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._talks.append(asyncio.create_task(self._talk(reader, writer)))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                (size,) = (line[15:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
                self.bodies.append(await reader.readexactly(int(size)))
                self._busy += 1
                self.busiest = max(self.busiest, self._busy)
                answer = await self._answer(len(self.bodies))
                writer.write(answer)
                self._busy -= 1
                await writer.drain()
                if answer.endswith(END):
                    writer.close()
                    return
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.transport.abort()


def http(body: bytes, status: int = 200) -> bytes:
    """The bytes of an answer."""
    return b"HTTP/1.1 %d So\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


async def _take(_number: int) -> bytes:
    return http(OK)


def loaded(answer: Callable[[int], Awaitable[bytes]] = _take, **plan: Any) -> tuple[Receiver, LoadStats]:
    """A receiver that answers so, after it was loaded by PLAN with these changes."""
    receiver = Receiver(answer)
    return receiver, asyncio.run(receiver.load(msgspec.structs.replace(PLAN, **plan)))


def test_each_callback_is_another_call_at_another_number() -> None:
    """An ordinary plan sends statuses of answered calls, each about a call of its own, and counts the same callids."""
    receiver, tally = loaded()
    callbacks = [parse(body) for body in receiver.bodies]
    assert (tally.planned, tally.sent, tally.accepted, tally.unsent) == (100, 100, 100, 0)
    assert {callback.kind for callback in callbacks} == {CallbackKind.PROMPT}
    assert {callback.callid for callback in callbacks} == set(tally.accepted_callids)
    assert len(set(tally.accepted_callids)) == 100
    assert len({callback.mobile for callback in callbacks}) > 90


def test_a_mix_has_everything_and_a_seed_repeats_it() -> None:
    """Without a kind all kinds and results come; the same seed brings the same ones, about new calls."""
    runs = []
    for seed in (1, 1, 2):
        receiver, _ = loaded(kind=None, connections=1, seed=seed)
        runs.append([parse(body) for body in receiver.bodies])
    reported = [[(one.kind, one.mobile, getattr(one, "result", None)) for one in run] for run in runs]
    assert reported[0] == reported[1] != reported[2]
    assert {kind for kind, _, _ in reported[0]} == {kind for kind, _ in MIX}
    assert {result for kind, _, result in reported[0] if kind is CallbackKind.PROMPT} == {0, 1, 2}
    assert not {one.callid for one in runs[0]} & {one.callid for one in runs[1]}


# What counts.


def test_a_stall_shows_in_the_latencies_of_all_that_it_held_up() -> None:
    """No coordinated omission: a quarter of a second without answers on the one connection is seen by the callbacks due in it.

    A load that waited for each answer would have one slow callback here and 199 fast ones.
    """

    async def stall_once(number: int) -> bytes:
        await asyncio.sleep(0.25 if number == 50 else 0)  # a slow receiver
        return http(OK)

    _, tally = loaded(stall_once, rate=200, duration_s=1, connections=1)
    assert tally.accepted == 200
    assert tally.latencies.percentile(50) < 0.1
    assert tally.latencies.percentile(90) > 0.1
    assert tally.latencies.percentile(99) > 0.2
    assert 20 <= tally.late <= 100


def test_a_slow_receiver_does_not_slow_the_schedule() -> None:
    """Callbacks are sent at their times as long as there are connections, not when the ones before are answered."""

    async def after_a_while(_number: int) -> bytes:
        await asyncio.sleep(0.5)  # a slow receiver
        return http(OK)

    receiver, tally = loaded(after_a_while, rate=100, duration_s=0.5, connections=100)
    assert receiver.busiest > 40
    assert tally.accepted == 50
    assert tally.late < 25
    assert tally.elapsed_s < 2


def test_what_gets_no_connection_in_time_is_unsent() -> None:
    """More connections than allowed are never used; what has waited too long for one is not sent, and said to be."""

    async def after_a_while(_number: int) -> bytes:
        await asyncio.sleep(0.2)  # a slow receiver
        return http(OK)

    receiver, tally = loaded(after_a_while, rate=100, duration_s=0.5, connections=2, timeout_s=0.5)
    assert receiver.busiest == 2
    assert 4 <= tally.sent <= 12
    assert tally.sent + tally.unsent == 50
    assert (tally.accepted, tally.sent) == (len(receiver.bodies), len(receiver.bodies))
    assert tally.late >= tally.sent - 4


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        (http(OK, 201), None),
        (http(b'{"result":"0"}'), None),
        (http(b'\xef\xbb\xbf{ "errmsg": null, "result": 0 }'), None),
        (http(OK, 500), Refusal(500, 0, "OK")),
        (http(b'{"result":3002,"errmsg":"later"}', 503), Refusal(503, 3002, "later")),
        (http(b'{"result":1,"errmsg":"no"}'), Refusal(200, 1, "no")),
        (http(b"", 204), Refusal(204, None, "the response is empty")),
        (http(b'{"result":0,"errmsg":"' + b"x" * 100_000 + b'"}'), Refusal(200, None, "not the contract's answer: ")),
    ],
)
def test_only_success_with_result_0_is_accepted(answer: bytes, refusal: Refusal | None) -> None:
    """An answer is 2xx with result 0, or a refusal by its status, result and words; an endless one is not read on."""

    async def always(_number: int) -> bytes:
        return answer

    _, tally = loaded(always, rate=100, duration_s=0.04)
    assert (tally.sent, tally.unanswered) == (4, 0)
    assert tally.latencies.total == 4
    if refusal is None:
        assert (tally.accepted, len(list(tally.accepted_callids))) == (4, 4)
    else:
        ((reported, count),) = tally.refusals.items()
        assert (reported[:2], count) == (refusal[:2], 4)
        assert reported.errmsg.startswith(refusal.errmsg)
        assert not list(tally.accepted_callids)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\x00\xff?\r\n\r\n", "not HTTP"),
        (http(OK)[:-5] + END, "closed"),
        (b"HTTP/1.1 200 So\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\n" + OK[:-9] + END, "closed"),
        (END, "closed"),
        (http(b"", 100), "within 0.3 s"),
    ],
    ids=["garbage", "half", "half in chunks", "nothing", "never final"],
)
def test_what_is_no_answer_is_reported_in_words(answer: bytes, words: str) -> None:
    """A connection that is closed too early, and bytes that are no HTTP, are no answers, and have no latency."""

    async def always(_number: int) -> bytes:
        return answer

    _, tally = loaded(always, rate=100, duration_s=0.04, timeout_s=0.3 if words == "within 0.3 s" else 30.0)
    assert (tally.sent, tally.unanswered, tally.accepted, tally.latencies.total) == (4, 4, 0, 0)
    assert all(words in reported for reported in tally.unanswered_reasons)
    assert tally.achieved_rate == 0.0


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (http(OK), 1),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + http(OK), 1),
        (b"HTTP/1.1 200 So\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\n" + OK + b"\r\n0\r\n\r\n", 1),
        (http(OK).replace(b"So", b"So\r\nConnection: close"), 10),
        (b"HTTP/1.0 200 So\r\n\r\n" + OK + END, 10),
    ],
    ids=["length", "interim", "chunks", "close", "no length"],
)
def test_every_framing_of_an_answer_is_understood(answer: bytes, connections: int) -> None:
    """However an answer says where it ends, it is read; a connection is used again unless the receiver ends it."""

    async def always(_number: int) -> bytes:
        return answer

    receiver, tally = loaded(always, rate=250, duration_s=0.04, connections=1)
    assert (tally.accepted, tally.refused, tally.unanswered) == (10, 0, 0)
    assert receiver.connections == connections


def test_the_request_is_the_clouds() -> None:
    """A POST of JSON to the whole path, to the host as the URL has it, with the login that the URL holds."""
    receiver, _ = loaded(rate=5)
    lines = receiver.heads[0].decode().split("\r\n")
    assert lines[0] == "POST /a?b=c HTTP/1.1"
    assert lines[1].startswith("Host: 127.0.0.1:")
    assert "Content-Type: application/json" in lines
    assert "Authorization: Basic bWU6cGFzcw==" in lines


@pytest.mark.parametrize("url", ["http://", "http:///path", "http://host:99999/", "http://[::1/", "http://host:0/"])
def test_an_invalid_url_is_named(url: str) -> None:
    """A URL that leads nowhere is said to be invalid before anything is sent."""
    with pytest.raises(ConfigError, match="URL"):
        LoadGenerator(url, PLAN)


def test_an_answer_that_does_not_come_is_given_up() -> None:
    """After the time-out it is counted by that."""

    async def never(_number: int) -> bytes:
        await asyncio.Event().wait()
        return http(OK)

    _, tally = loaded(never, rate=100, duration_s=0.04, timeout_s=0.3)
    assert tally.unanswered_reasons == {"no answer within 0.3 s": 4}


def test_a_flood_of_words_is_bounded() -> None:
    """A receiver that says something else each time fills no memory, and every answer still counts."""
    tally = LoadStats(msgspec.structs.replace(PLAN, rate=1e6))
    for number in range(5000):
        tally.record_refusal(Refusal(400, 1, f"no {number}"))
        tally.record_refusal(Refusal(400, 1, "no 1"))
    assert tally.refused == 10_000
    assert tally.refusals[Refusal(400, 1, "no 1")] == 5001
    assert len(tally.refusals) <= 1001
