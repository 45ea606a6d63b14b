"""From the stream into the ledger: nothing is lost, nothing comes twice, whatever fails in between."""

import asyncio
import os
import signal
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from gateway import locked
from nats_servers import NatsCluster
from relay.harness import writer_pids
from relay.waiting import in_loop, until
from stream.harness import (
    Recording,
    everything,
    ledger,
    operator,
    publishing,
    raw_callback,
    recorded,
    recording,
    stream_config,
)

from answerback.ledger import LEDGER_FILE
from answerback.stream import Publisher, Stream
from answerback.stream.stream_config import ACK_WAIT_S


async def _published(publisher: Publisher, batches: int, name: str = "c") -> list[str]:
    """Publish batches of three; the callids."""
    callids = [f"{name}{n}" for n in range(3 * batches)]
    for n in range(batches):
        await publisher.append([raw_callback(callid) for callid in callids[3 * n : 3 * n + 3]])
    return callids


async def _await_recorded(stream: Stream, callbacks: int, *recorders: Recording) -> None:
    """Wait until so many callbacks are recorded, and acknowledged."""
    await until(lambda: sum(one.callbacks for one in recorders) >= callbacks)
    await until(lambda: stream.metrics.in_flight_batches == 0)


@in_loop
async def test_redelivery_changes_nothing(nats_server: NatsCluster, tmp_path: Path) -> None:
    """A batch that comes again, by the same shard or another, leaves every row as it was, repeats and sums too."""
    wanted = stream_config(nats_server)
    async with publishing(wanted) as (stream, publisher), operator(nats_server) as hand:
        for n in range(3):
            await publisher.append([raw_callback("a"), raw_callback(f"b{n}"), raw_callback(f"junk{n}", raw=b"{")])
        messages = await hand.messages_in(publisher.shard.stream)
        async with recording(stream, tmp_path / "data") as at_work:
            await _await_recorded(stream, 9, at_work)
            before = everything(tmp_path / "data")
            assert recorded(tmp_path / "data", ["a", "b0"]) == {"a": 1 + 200, "b0": 1}
            await hand.publish(f"{wanted.name}.1", *messages, *messages)
            await hand.publish(f"{wanted.name}.2", *messages)
            await until(lambda: at_work.metrics.repeated_batches == 9)
            await _await_recorded(stream, 9, at_work)
        assert everything(tmp_path / "data") == before


@in_loop
async def test_two_recorders(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    """Several recorders on one stream take each batch once together; one that dies leaves its share to the other."""
    wanted = stream_config(nats_cluster)
    data = tmp_path / "data"
    async with publishing(wanted) as (stream, publisher), publishing(wanted) as (other, _):
        async with recording(stream, data) as first, recording(other, data) as second:
            callids = await _published(publisher, 60)
            await _await_recorded(stream, 180, first, second)
            await _await_recorded(other, 180, first, second)
        assert first.callbacks + second.callbacks == 180
        assert set(recorded(data, callids).values()) == {1}


@in_loop
async def test_ledger_is_away(nats_server: NatsCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the ledger is away callbacks are still acknowledged; what was pulled is kept, and goes in by itself."""
    monkeypatch.setattr("answerback.stream.stream_config.ACK_WAIT_S", 1.6)  # a lock is waited for longer
    monkeypatch.setattr("answerback.stream.consumer._IN_PROGRESS_EVERY_S", 0.2)
    wanted = stream_config(nats_server)
    data = tmp_path / "data"
    async with publishing(wanted) as (stream, publisher), recording(stream, data) as at_work:
        callids = await _published(publisher, 1, "before")
        await _await_recorded(stream, 3, at_work)
        with locked(data / LEDGER_FILE):
            callids += await _published(publisher, 20)
            await until(lambda: at_work.recorder.failure)
            assert "locked" in str(at_work.recorder.failure)
            assert at_work.recorder.lag_s > 0
            assert sum(shard.redelivered for shard in await stream.status()) == 0
            await until(lambda: sum(stream.metrics.pending.values()) == 0)
        await _await_recorded(stream, 63, at_work)
        assert (at_work.recorder.failure, at_work.recorder.lag_s) == (None, 0.0)
        assert at_work.metrics.repeated_batches == 0
        assert set(recorded(data, callids).values()) == {1}


@in_loop
async def test_what_a_recorder_has_pulled_is_given_back_at_its_end(nats_server: NatsCluster, tmp_path: Path) -> None:
    """What it could not record goes to the next one at once, and not only when its acknowledgement is late."""
    data = tmp_path / "data"
    async with publishing(stream_config(nats_server)) as (stream, publisher):
        with ExitStack() as lock:
            async with recording(stream, data) as first:
                callids = await _published(publisher, 1, "before")
                await _await_recorded(stream, 3, first)
                lock.enter_context(locked(data / LEDGER_FILE))
                callids += await _published(publisher, 20)
                await until(lambda: first.recorder.failure and stream.metrics.in_flight_batches == 20)
        async with asyncio.timeout(ACK_WAIT_S / 2), recording(stream, data) as second:
            await until(lambda: second.callbacks >= 60)
        assert second.metrics.repeated_batches == 0
    assert set(recorded(data, callids).values()) == {1}


@in_loop
async def test_writer_is_killed(nats_server: NatsCluster, tmp_path: Path) -> None:
    """The ledger's writer dies again and again: what it had not committed goes in by the next one."""
    data, others = tmp_path / "data", writer_pids()
    async with publishing(stream_config(nats_server)) as (stream, publisher), recording(stream, data) as at_work:
        callids: list[str] = []
        for n in range(3):
            callids += await _published(publisher, 10, f"r{n}-")
            (pid,) = writer_pids() - others
            os.kill(pid, signal.SIGKILL)
            await until(lambda pid=pid: writer_pids() - others - {pid}, every_s=0.05)  # type: ignore[misc]
        await until(lambda: at_work.callbacks + 3 * at_work.metrics.repeated_batches >= 90)
        await until(lambda: stream.metrics.in_flight_batches == 0)
        assert set(recorded(data, callids).values()) == {1}


@in_loop
async def test_server_is_killed(tmp_path: Path) -> None:
    """The servers go away under the recorder, and come back: it goes on, nothing is lost and nothing comes twice."""
    data = tmp_path / "data"
    with NatsCluster(tmp_path / "nats", size=1) as server:
        async with publishing(stream_config(server)) as (stream, publisher):
            callids = await _published(publisher, 40)
            async with recording(stream, data) as at_work:
                await until(lambda: stream.metrics.in_flight_batches or at_work.callbacks)
                server.kill(0)
                await asyncio.to_thread(server.restart, 0)
                callids += await _published(publisher, 5, "after")
                await until(lambda: 0 not in recorded(data, callids).values())
                assert set(recorded(data, callids).values()) == {1}


@in_loop
async def test_unreadable(nats_server: NatsCluster, tmp_path: Path) -> None:
    """What this program cannot read stays in the stream, and holds nothing up."""
    wanted = stream_config(nats_server, shards=1)
    async with publishing(wanted) as (stream, publisher), operator(nats_server) as hand:
        await hand.publish(f"{wanted.name}.1", b"\x02later", b"")
        async with recording(stream, tmp_path / "data") as at_work:
            await _published(publisher, 5)
            await _await_recorded(stream, 15, at_work)
            assert stream.metrics.undecodable_batches == 2
        await hand.emptied(f"{wanted.name}-1", left=2)


@in_loop
async def test_forgets(nats_server: NatsCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids of batches are forgotten once nothing in any shard is as old, and not before."""
    monkeypatch.setattr("answerback.stream.stream._CHECK_EVERY_S", 0.1)
    monkeypatch.setattr("answerback.recorder.stream_recorder._PRUNE_EVERY_S", 0.1)
    monkeypatch.setattr("answerback.recorder.stream_recorder._PRUNE_AFTER_US", 0)
    wanted = stream_config(nats_server)

    def ids() -> int:
        with ledger(tmp_path / "data") as opened:
            return int(opened.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM consumed_batches").scalar_one()))

    async with publishing(wanted) as (stream, publisher), operator(nats_server) as hand:
        await hand.publish(f"{wanted.name}.2", b"\x02held back")
        async with recording(stream, tmp_path / "data") as at_work:
            await _published(publisher, 5)
            await _await_recorded(stream, 15, at_work)
            await asyncio.sleep(0.3)  # it looks three times, and forgets nothing
            assert ids() == 5
            await hand.ask(f"STREAM.DELETE.{wanted.name}-2")
            await until(lambda: ids() == 0, every_s=0.1)


@in_loop
async def test_a_callback_that_the_ledger_refuses(nats_server: NatsCluster, tmp_path: Path) -> None:
    """It goes to quarantine, with a word to who counts; its batch, and those beside it, are recorded and acknowledged."""
    wanted, data = stream_config(nats_server), tmp_path / "data"
    async with (
        publishing(wanted) as (stream, publisher),
        recording(stream, data) as at_work,
        operator(nats_server) as hand,
    ):
        callids = await _published(publisher, 1, "before")
        await _await_recorded(stream, 3, at_work)
        set_aside: list[int] = []
        at_work.writer.on_set_aside = set_aside.append
        with closing(sqlite3.connect(data / LEDGER_FILE)) as database:
            database.execute(
                "CREATE TRIGGER poison BEFORE INSERT ON calls WHEN NEW.callid = 'poison'"
                " BEGIN SELECT RAISE(ABORT, 'out of range'); END"
            )
        await publisher.append([raw_callback("beside"), raw_callback("poison"), raw_callback("behind")])
        callids += ["beside", "behind", *await _published(publisher, 3, "after")]
        await _await_recorded(stream, 15, at_work)
        assert set(recorded(data, callids).values()) == {1}
        assert set_aside == [1]
        await hand.emptied(*[f"{wanted.name}-{n}" for n in (1, 2)])
        assert sum(shard.messages for shard in await stream.status()) == 0
        assert set(stream.metrics.oldest_message_us.values()) == {None}
