"""The load generator against a receiver on this machine, in real time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from answerback.domain.models import CallbackKind
from answerback.emulator.callback_sender import Refusal
from answerback.emulator.load import MIX, LoadGenerator, LoadPlan, LoadStats
from answerback.tencent.callbacks import parse

OK = b'{"result":0,"errmsg":"OK"}'
END = b"\n\n"
"""An answer that ends so is followed by the end of the connection."""
PLAN = LoadPlan(rate=500, duration_s=0.2, connections=20, timeout_s=5, seed=7)


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


def test_an_answer_that_does_not_come_is_given_up() -> None:
    """After the time-out it is counted by that."""

    async def never(_number: int) -> bytes:
        await asyncio.Event().wait()
        return http(OK)

    _, tally = loaded(never, rate=100, duration_s=0.04, timeout_s=0.3)
    assert tally.unanswered_reasons == {"no answer within 0.3 s": 4}
