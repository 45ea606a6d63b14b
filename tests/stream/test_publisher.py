"""Answered is stored: what the intake's end of the stream does when servers go, stop or are full."""

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
from cluster.tcp_proxy import ProxiedCluster, TcpProxies
from nats_servers import NatsCluster
from relay.waiting import in_loop, until
from stream.harness import (
    count_calls,
    key_arrival,
    ledger,
    operator,
    publishing,
    raw_callback,
    recorded,
    recording,
    refused,
    stream_config,
)

from answerback.domain.batches import CallbackBatch, encode_batch
from answerback.errors import LedgerUnavailable
from answerback.stream import Publisher, Stream
from answerback.stream.batch import decode
from answerback.stream.stream_config import Shard

LONGEST_ACK_S = 3.5
"""Who waited until another node leads a stream would wait longer: servers take four seconds at least to elect one."""


class Load:
    """Publishes batches for as long as it lasts, a few at a time, and notes what was acknowledged, and how soon."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.acknowledged: list[str] = []
        self.latencies_s: list[float] = []
        self.failures: list[str] = []

    async def __aenter__(self) -> Self:
        self._running = [asyncio.create_task(self._publish(n)) for n in range(3)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.wait(self._running)

    async def _publish(self, queue: int) -> None:
        number = 0
        while True:
            number += 1
            callids = [f"c{queue}-{number}-{n}" for n in range(5)]
            began_s = time.monotonic()
            try:
                await self._publisher.append([raw_callback(callid) for callid in callids])
            except LedgerUnavailable as error:
                self.failures.append(error.explanation)
            else:
                self.acknowledged += callids
                self.latencies_s.append(time.monotonic() - began_s)
            await asyncio.sleep(0.03)

    async def more(self, count: int) -> None:
        """Wait until so many batches more are acknowledged."""
        goal = len(self.latencies_s) + count
        await until(lambda: len(self.latencies_s) >= goal, 30)


async def _through(load: Load, *events: Callable[[], object]) -> None:
    """Have things happen to the servers while callbacks come in."""
    await load.more(30)
    for event in events:
        await asyncio.to_thread(event)
        await load.more(60)


@in_loop
async def test_leader_is_killed(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    """A node that leads a shard, and to which we may be connected, dies: callbacks are acknowledged soon, none is lost."""
    wanted = stream_config(nats_cluster)
    async with publishing(wanted) as (stream, publisher):
        home = publisher.shard.stream
        node = await asyncio.to_thread(nats_cluster.leader, home)
        async with Load(publisher) as load:
            await _through(load, lambda: nats_cluster.kill(node), lambda: nats_cluster.restart(node))
        assert max(load.latencies_s) < LONGEST_ACK_S, sorted(load.latencies_s)[-5:]
        assert load.failures == []
        assert stream.metrics.failovers[home] >= 1
        async with recording(stream, tmp_path / "data") as at_work:
            await until(lambda: at_work.callbacks >= len(load.acknowledged))
            await until(lambda: stream.metrics.in_flight_batches == 0)
            found = recorded(tmp_path / "data", load.acknowledged)
    assert set(found.values()) == {1}  # each once, and none of them came again


@in_loop
async def test_node_is_frozen(nats_cluster: NatsCluster) -> None:
    """The node to which we are connected stops without a word: another is used soon."""
    wanted = stream_config(nats_cluster)
    async with publishing(wanted) as (stream, publisher), Load(publisher) as load:
        node = [url.removeprefix("nats://") for url in nats_cluster.urls].index(str(stream.server))
        await _through(load, lambda: nats_cluster.pause(node), lambda: nats_cluster.resume(node))
        assert max(load.latencies_s) < LONGEST_ACK_S, sorted(load.latencies_s)[-5:]
        assert load.failures == []
    nats_cluster.wait_ready()


@in_loop
async def test_node_is_cut_off_from_its_peers(tmp_path: Path) -> None:
    """The node to which we are connected hears from no other, and answers our pings: callbacks go through another."""
    with TcpProxies() as proxies, ProxiedCluster(tmp_path / "nats", proxies, clients=False) as nats:
        async with publishing(stream_config(nats), commit_timeout_s=30.0) as (stream, publisher):
            server = str(stream.server)
            await publisher.probe()
            proxies.cut([url.removeprefix("nats://") for url in nats.urls].index(server))
            await publisher.append([raw_callback("a")])
            assert stream.server != server


@pytest.mark.parametrize("back", [0, 1], ids=["the silent one", "the one without a leader"])
@in_loop
async def test_a_stream_is_led_again(nats_server: NatsCluster, back: int) -> None:
    """No stream acknowledges, one of them with the batch lost in its leader: the first that is led again gets the batch."""
    wanted = stream_config(nats_server)
    async with publishing(wanted, commit_timeout_s=30.0) as (stream, publisher), operator(nats_server) as hand:
        home = publisher.shard
        other = _other(stream, home)
        configs = [await hand.remove(home.stream), await hand.remove(other.stream)]
        async with hand.taking(home.subject):
            appended = publisher.append([raw_callback("a")])
            await until(lambda: stream.metrics.failovers[other.stream])
        await hand.create(configs[back])
        await appended
        stored = [decode(message) for message in await hand.messages_in(configs[back]["name"])]
        assert [len(batch.items) for batch in stored if batch.items] == [1]


@in_loop
async def test_who_waits_for_a_stream_hears_of_others(
    nats_server: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch is lost in a stream's leader, the next finds that none leads it: the first goes to another stream at once."""
    monkeypatch.setattr("answerback.stream.publisher.HEDGE_DELAY_S", 40.0)
    async with (
        publishing(stream_config(nats_server), commit_timeout_s=200.0) as (_, publisher),
        operator(nats_server) as hand,
    ):
        home = publisher.shard
        await hand.remove(home.stream)
        async with hand.taking(home.subject) as taken:
            first = publisher.append([raw_callback("a")])
            await taken.next_msg(5)
        async with asyncio.timeout(20):
            await publisher.append([raw_callback("b")])
            await first


@in_loop
async def test_a_late_batch_is_overtaken(nats_server: NatsCluster, tmp_path: Path) -> None:
    """A batch whose stream stays silent is recorded behind one that came in later: the call is the same, the keys in their order."""
    async with publishing(stream_config(nats_server)) as (stream, publisher), operator(nats_server) as hand:
        home = publisher.shard
        await hand.remove(home.stream)
        async with hand.taking(home.subject), recording(stream, tmp_path / "data") as at_work:
            began_s = time.monotonic()
            late = publisher.append([key_arrival("a", "1")])
            later = CallbackBatch(bytes(range(16)), 0, [key_arrival("a", "2"), raw_callback("a")])
            await hand.publish(_other(stream, home).subject, encode_batch(later))
            await until(lambda: at_work.callbacks == 2)
            assert not late.done()
            await late
            assert time.monotonic() - began_s < LONGEST_ACK_S
            await until(lambda: at_work.callbacks == 3)
        with ledger(tmp_path / "data") as opened:
            assert opened.call("a").keys == ("1", "2")


@in_loop
async def test_most_nodes_are_away(nats_cluster: NatsCluster) -> None:
    """Without a majority nothing is answered as stored, and the answer says why in time; then it goes on by itself."""
    wanted = stream_config(nats_cluster)
    async with publishing(wanted, commit_timeout_s=2.0) as (_, publisher):
        nats_cluster.pause(0)
        nats_cluster.pause(1)
        try:
            began_s = time.monotonic()
            with refused(r"no stream acknowledged in 1\.8 s|no NATS server"):
                await publisher.append([raw_callback("a")])
            assert time.monotonic() - began_s < LONGEST_ACK_S
        finally:
            nats_cluster.resume(0)
            nats_cluster.resume(1)
        await _works_again(publisher)
    nats_cluster.wait_ready()


@in_loop
async def test_full(nats_server: NatsCluster, tmp_path: Path) -> None:
    """A full stream is reported as full; once recorders have made room it goes on by itself."""
    wanted = stream_config(nats_server, max_bytes=100_000)
    async with publishing(wanted) as (stream, publisher):
        stored, reason = await _fill(publisher)
        assert re.search(r"the stream is full \(.*maximum bytes.*raise stream.max_bytes", reason)
        assert stored > 300
        with pytest.raises(LedgerUnavailable, match="the stream is full"):
            await publisher.probe()
        async with recording(stream, tmp_path / "data"):
            await _works_again(publisher)
            await until(lambda: stream.metrics.in_flight_batches == 0)
    assert await count_calls(tmp_path / "data") == stored


@in_loop
async def test_disk_of_the_servers_is_full(tmp_path: Path) -> None:
    """Servers that have no more room for files refuse, and the answer says so."""
    with NatsCluster(tmp_path / "nats", size=1, max_file_store=400_000) as small:
        wanted = stream_config(small, max_bytes=-1, shards=1)
        async with publishing(wanted) as (_, publisher):
            stored, reason = await _fill(publisher)
            assert "the stream is full" in reason
            assert stored > 300


@in_loop
async def test_larger_than_a_message(nats_server: NatsCluster) -> None:
    """A batch that is larger than a message may be goes as several, and all are acknowledged."""
    wanted = stream_config(nats_server, shards=1)
    async with publishing(wanted) as (_, publisher), operator(nats_server) as hand:
        bodies = [raw_callback(f"{n}", raw=b"x" * 60_000) for n in range(40)]
        await publisher.append(bodies)
        messages = [await hand.client.jetstream().get_msg(f"{wanted.name}-1", n) for n in (1, 2, 3)]
        assert sum(len(decode(message.data).items) for message in messages) == 40


@in_loop
async def test_large_bodies(tmp_path: Path) -> None:
    """Where the servers take larger messages, bodies may be as large, and are drained, too."""
    with NatsCluster(tmp_path / "nats", size=1, more="max_payload: 8MB") as server:
        async with publishing(stream_config(server, max_body_bytes=7_000_000)) as (stream, publisher):
            await publisher.append([raw_callback("large", raw=b"x" * 6_900_000)])
            async with recording(stream, tmp_path / "data") as at_work:
                await until(lambda: at_work.callbacks == 1)


@in_loop
async def test_server_comes_back(tmp_path: Path) -> None:
    """The only server dies: callbacks are refused with the reason, and taken again when it is back."""
    with NatsCluster(tmp_path / "nats", size=1) as server:
        async with publishing(stream_config(server), commit_timeout_s=1.0) as (_, publisher):
            await _works_again(publisher)
            server.kill(0)
            with refused(r"no NATS server: 127\.0\.0\.1"):
                await publisher.probe()
            await asyncio.to_thread(server.restart, 0)
            await _works_again(publisher)


def _other(stream: Stream, shard: Shard) -> Shard:
    """The other one of two."""
    (name,) = stream.metrics.failovers.keys() - {shard.stream}
    return Shard(name, name.replace("-", "."))


async def _fill(publisher: Publisher) -> tuple[int, str]:
    """Publish until it is refused: how many were stored, and why no more were."""
    for stored in range(0, 10_000, 20):
        try:
            await publisher.append([raw_callback(f"f{stored}-{n}") for n in range(20)])
        except LedgerUnavailable as error:
            return stored, error.explanation
    raise AssertionError


async def _works_again(publisher: Publisher, timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while True:
            with suppress(LedgerUnavailable):
                await publisher.probe()
                return
            await asyncio.sleep(0.05)
