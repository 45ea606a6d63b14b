"""The streams are made as they must be, and refused where they are not."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from nats_servers import NatsCluster
from relay.waiting import in_loop, until
from stream.harness import operator, publishing, refused, stream_config, streaming
from structlog.testing import capture_logs

from answerback.errors import UnsafeStream
from answerback.stream import ShardStatus, Stream

MADE = {
    "storage": "file",
    "num_replicas": 3,
    "retention": "workqueue",
    "discard": "new",
    "max_age": 0,
    "max_msgs": -1,
    "max_msgs_per_subject": -1,
    "max_msg_size": -1,
    "sealed": False,
}

UNSAFE = {
    "storage": ({"storage": "memory"}, "storage is memory, it must be file: once it is empty: nats stream rm {}"),
    "replicas": ({"num_replicas": 1}, "num_replicas is 1, it must be 3 or more: nats stream edit {} --replicas 3"),
    "retention": ({"retention": "limits"}, "retention is limits, it must be workqueue: once it is empty"),
    "discard": ({"discard": "old"}, "discard is old, it must be new: nats stream edit {} --discard new"),
    "age": ({"max_age": 3600 * 10**9, "duplicate_window": 10**9}, "max_age is 3600000000000, it must be 0, no limit"),
    "subject": ({"max_msgs_per_subject": 5}, "max_msgs_per_subject is 5, it must be -1, no limit: nats stream edit"),
    "message": ({"max_msg_size": 1000}, "max_msg_size is 1000, it must be -1, or 1048576 or more: nats stream edit {}"),
    "ack": ({"no_ack": True}, "no_ack is true, it must be false: nats stream edit {} --ack"),
    "subjects": ({"subjects": ["{}.x"]}, 'it must be ["{}"]: nats stream edit'),
}  # fmt: skip


@in_loop
async def test_made(nats_cluster: NatsCluster) -> None:
    """Each shard is a work queue on the disks of three nodes that drops nothing, and another node leads each."""
    wanted = stream_config(nats_cluster)
    async with streaming(wanted) as stream, operator(nats_cluster) as hand:
        for shard in (1, 2, 3):
            config = (await hand.ask(f"STREAM.INFO.{wanted.name}-{shard}"))["config"]
            assert {name: config.get(name, False) for name in MADE} == MADE
            assert config["max_bytes"] == wanted.max_bytes
        shards = await _led(stream)
        for shard in (1, 2, 3):
            consumer = (await hand.ask(f"CONSUMER.INFO.{wanted.name}-{shard}.recorders"))["config"]
            assert (consumer["ack_policy"], consumer["max_deliver"]) == ("explicit", -1)
        assert [shard.stream for shard in shards] == [f"{wanted.name}-{n}" for n in (1, 2, 3)]
        assert {(shard.replicas, shard.messages, shard.failure, shard.oldest_us) for shard in shards} == {
            (3, 0, None, None)
        }


async def _led(stream: Stream) -> list[ShardStatus]:
    """How the shards stand once each is led by another node."""
    for _ in range(100):
        shards = await stream.status()
        if len({shard.leader for shard in shards} - {None}) == 3:
            return shards
        await asyncio.sleep(0.1)  # between two looks
    raise AssertionError(shards)


@in_loop
async def test_leaders_are_spread_again(nats_cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """When one node has come to lead all shards, as elections leave it, each is soon led by another: the next death takes one."""
    monkeypatch.setattr("answerback.stream.streams._SETTLE_S", 0.0)
    wanted = stream_config(nats_cluster)
    async with streaming(wanted) as stream, operator(nats_cluster) as hand:
        first, *others = await _led(stream)
        with capture_logs() as logs:
            for shard in others:
                request = {"placement": {"preferred": first.leader}}
                await hand.ask(f"STREAM.LEADER.STEPDOWN.{shard.stream}", request)
            await until(lambda: any(line["event"] == "stream_leader_moved" for line in logs))
        await _led(stream)


@pytest.mark.parametrize(("changes", "reported"), UNSAFE.values(), ids=UNSAFE)
@in_loop
async def test_unsafe(nats_cluster: NatsCluster, changes: dict[str, Any], reported: str) -> None:
    """A stream that could lose an answered callback is refused: what it is, what it must be, how to mend it."""
    wanted = stream_config(nats_cluster, shards=1)
    name, subject = f"{wanted.name}-1", f"{wanted.name}.1"
    async with operator(nats_cluster) as hand:
        config = {"name": name, "subjects": [subject], "retention": "workqueue", "discard": "new", "num_replicas": 3}
        changed = {key: [subject + ".x"] if key == "subjects" else value for key, value in changes.items()}
        await hand.ask(f"STREAM.CREATE.{name}", config | {"storage": "file"} | changed)
        with pytest.raises(UnsafeStream) as refused:
            async with streaming(wanted):
                pass
    assert f"stream {name}: " in str(refused.value)
    assert reported.format(subject if "[" in reported else name) in str(refused.value)


@in_loop
async def test_written_in_memory_first(nats_server: NatsCluster) -> None:
    """A stream that acknowledges before it has written is refused."""
    wanted = stream_config(nats_server, shards=1)
    name = f"{wanted.name}-1"
    async with operator(nats_server) as hand:
        config = {"name": name, "subjects": [f"{wanted.name}.1"], "retention": "workqueue", "discard": "new"}
        await hand.ask(f"STREAM.CREATE.{name}", config | {"storage": "file", "persist_mode": "async"})
        with pytest.raises(UnsafeStream, match="persist_mode is async, it must be default"):
            async with streaming(wanted):
                pass


@in_loop
async def test_consumer_that_gives_up(nats_server: NatsCluster) -> None:
    """A consumer that would not deliver for ever is refused."""
    wanted = stream_config(nats_server, shards=1)
    async with streaming(wanted), operator(nats_server) as hand:
        name = f"{wanted.name}-1"
        await hand.ask(f"CONSUMER.DELETE.{name}.recorders")
        config = {"durable_name": "recorders", "ack_policy": "explicit", "max_deliver": 3}
        await hand.ask(f"CONSUMER.DURABLE.CREATE.{name}.recorders", {"stream_name": name, "config": config})
        with pytest.raises(UnsafeStream, match="max_deliver is 3, it must be -1, no limit: nats consumer rm"):
            async with streaming(wanted):
                pass


@in_loop
async def test_too_few_nodes(nats_server: NatsCluster) -> None:
    """One server is no cluster: three replicas are refused there, unless fewer are allowed for a trial."""
    with pytest.raises(UnsafeStream, match=r"stream.replicas is 3, .* stream.allow_fewer_replicas = true for a trial"):
        async with streaming(stream_config(nats_server, replicas=3)):
            pass
    async with publishing(stream_config(nats_server, replicas=3, allow_fewer_replicas=True)) as (_, publisher):
        await publisher.probe()


@in_loop
async def test_subject_is_taken(nats_server: NatsCluster) -> None:
    """Another stream on the same subjects is named."""
    wanted = stream_config(nats_server)
    async with operator(nats_server) as hand:
        await hand.ask(f"STREAM.CREATE.O{wanted.name}", {"name": f"O{wanted.name}", "subjects": [f"{wanted.name}.*"]})
        with pytest.raises(UnsafeStream, match=r"another stream takes its subject .* choose another stream.name"):
            async with streaming(wanted):
                pass


@in_loop
async def test_no_room(nats_server: NatsCluster) -> None:
    """A limit that the disks cannot hold is refused at the start, and the setting is named."""
    with pytest.raises(UnsafeStream, match=r"no room for stream.max_bytes, 1152921504606846976 .* max_file_store"):
        async with streaming(stream_config(nats_server, max_bytes=2**60)):
            pass


@in_loop
async def test_largest_body(nats_server: NatsCluster) -> None:
    """Servers that would not take the largest body that the intake takes are refused."""
    with pytest.raises(UnsafeStream, match=r"max_payload of the NATS servers is 1048576, .* 3001024 or more"):
        async with streaming(stream_config(nats_server, max_body_bytes=3_000_000)):
            pass


@in_loop
async def test_changed_meanwhile(nats_server: NatsCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is made unsafe while callbacks come in is refused until it is mended."""
    monkeypatch.setattr("answerback.stream.stream._CHECK_EVERY_S", 0.1)
    wanted = stream_config(nats_server, shards=1)
    async with publishing(wanted) as (stream, publisher), operator(nats_server) as hand:
        await publisher.probe()
        await hand.edit(f"{wanted.name}-1", discard="old")
        await until(lambda: stream.failure)
        with refused("discard is old, it must be new"):
            await publisher.probe()
        await hand.edit(f"{wanted.name}-1", discard="new")
        await until(lambda: stream.failure is None)
        await publisher.probe()


@in_loop
async def test_removed_meanwhile(nats_server: NatsCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams that were removed are made anew."""
    monkeypatch.setattr("answerback.stream.stream._CHECK_EVERY_S", 0.1)
    wanted = stream_config(nats_server, shards=1)
    async with publishing(wanted, commit_timeout_s=30.0) as (_, publisher), operator(nats_server) as hand:
        await hand.ask(f"STREAM.DELETE.{wanted.name}-1")
        await publisher.probe()


@in_loop
async def test_servers_away_at_the_start(nats_server: NatsCluster) -> None:
    """Without servers the start goes on, nothing is stored, and the answer says why."""
    stream = Stream(stream_config(nats_server, urls=["nats://user:secret@127.0.0.1:1"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("answerback.stream.stream._START_S", 0.3)
        await stream.start()
    try:
        with refused(r"no NATS server: 127\.0\.0\.1:1: .*[Cc]onnect") as reported:
            await stream.publisher(1.0).probe()
        assert "secret" not in reported.value.explanation
        assert {shard.failure for shard in await stream.status()} == {str(reported.value)}
    finally:
        await stream.stop()


@in_loop
async def test_a_node_is_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a new cluster that does not know all its nodes yet: the start goes on, and the streams are made once they are there."""
    monkeypatch.setattr("answerback.stream.stream._RECHECK_S", 0.1)
    cluster = NatsCluster(tmp_path)
    try:
        for n in (0, 1):
            cluster.restart(n, wait=False)
        async with publishing(stream_config(cluster, shards=1), is_whole=False) as (_, publisher):
            await until(
                lambda: publisher.refusal and "so many nodes are not there (no suitable" in publisher.refusal.detail
            )
            with refused("stream.replicas is 3, so many nodes are not there"):
                await publisher.probe()
            cluster.restart(2, wait=False)
            await until(lambda: publisher.refusal is None)
            await publisher.probe()
    finally:
        cluster.stop()
