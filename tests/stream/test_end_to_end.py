"""From the intake's end of the stream into a real ledger."""

from pathlib import Path

from nats_servers import NatsCluster
from relay.waiting import in_loop, until
from stream.world import arrival, draining, key_arrival, ledger, operator, publishing, terms

from answerback.domain.models import Kind
from answerback.ledger import Taken


@in_loop
async def test_into_the_ledger(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    """What was acknowledged goes into the ledger, leaves the stream, and senders are told what they are told without it."""
    wanted = terms(nats_cluster)
    async with publishing(wanted) as (stream, publisher), operator(nats_cluster) as hand:
        await publisher.probe()
        verdicts = await publisher.record([arrival("a"), arrival("junk", raw=b"{"), key_arrival("a", "1")])
        assert [(told.taken, told.kind, told.result) for told in verdicts] == [
            (Taken.STORED, Kind.PROMPT, 0),
            (Taken.QUARANTINED, None, 3003),
            (Taken.STORED, Kind.KEY, 0),
        ]
        async with draining(stream, tmp_path / "data"):
            await until(lambda: stream.meter.drained_batches == 1)
            await until(lambda: stream.meter.held_batches == 0)
            await hand.emptied(*[f"{wanted.name}-{n}" for n in (1, 2, 3)])
        assert stream.meter.drained_callbacks == {Taken.STORED: 2, Taken.QUARANTINED: 1}
    with ledger(tmp_path / "data") as opened:
        assert opened.call("a").keys == ("1",)
        assert [body.raw for body in opened.quarantined().items] == [b"{"]
