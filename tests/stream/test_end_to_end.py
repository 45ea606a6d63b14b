"""From the intake's end of the stream into a real ledger."""

import asyncio
import re
from pathlib import Path

import pytest
from nats_servers import NatsCluster
from relay.waiting import in_loop, until
from stream.harness import key_arrival, ledger, operator, publishing, raw_callback, recording, stream_config

from answerback.config import Settings
from answerback.ledger import Disposition
from answerback.service import doctor


@in_loop
async def test_into_the_ledger(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    """What was acknowledged goes into the ledger, and leaves the stream."""
    wanted = stream_config(nats_cluster)
    async with publishing(wanted) as (stream, publisher), operator(nats_cluster) as hand:
        await publisher.probe()
        await publisher.append([raw_callback("a"), raw_callback("junk", raw=b"{"), key_arrival("a", "1")])
        async with recording(stream, tmp_path / "data") as at_work:
            await until(lambda: at_work.callbacks == 3)
            await until(lambda: stream.metrics.in_flight_batches == 0)
            await hand.emptied(*[f"{wanted.name}-{n}" for n in (1, 2, 3)])
        assert at_work.metrics.callbacks == {Disposition.STORED: 2, Disposition.QUARANTINED: 1}
    with ledger(tmp_path / "data") as opened:
        assert opened.call("a").keys == ("1",)
        assert [body.raw for body in opened.quarantined().items] == [b"{"]


@in_loop
async def test_the_doctor_says_what_nobody_records(
    nats_server: NatsCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches that have waited for long are a warning, with what to start."""
    wanted = stream_config(nats_server)
    streams = {"url": nats_server.url, "name": wanted.name, "shards": 2, "replicas": 1, "allow_fewer_replicas": True}
    settings = Settings.model_validate({"server": {"data_dir": tmp_path}, "stream": streams})
    async with publishing(wanted) as (_, publisher):
        await publisher.append([raw_callback("a")])
        for late_s, level, words in ((600.0, "ok", "1 batches"), (-1.0, "warning", r"the oldest for \d+ s")):
            monkeypatch.setattr(doctor, "LATE_S", late_s)
            found = await asyncio.to_thread(lambda: [*doctor.run_checks(settings)])
            (stream,) = [one for one in found if one.check == "stream"]
            assert re.search(words, stream.finding), stream.finding
            assert (stream.level, "recorder" in stream.remedy) == (level, level != "ok")


@in_loop
async def test_a_reader_waits_for_what_was_stored_before(nats_server: NatsCluster, tmp_path: Path) -> None:
    """As long as nobody records it a reader is told how far the ledger is behind; with a recorder it waits, and then not again."""
    async with publishing(stream_config(nats_server)) as (stream, publisher):
        await publisher.append([raw_callback("a")])
        with ledger(tmp_path / "data") as opened:
            assert 0.05 <= await publisher.recent.catch_up(opened, 0.05) < 60
            async with recording(stream, tmp_path / "data"):
                assert await publisher.recent.catch_up(opened, 30) == 0.0
                assert opened.call("a").callid == "a"
            assert await publisher.recent.catch_up(opened, 0.0) == 0.0
