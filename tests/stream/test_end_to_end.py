"""From the intake's end of the stream into a real ledger."""

from pathlib import Path

from nats_servers import NatsCluster
from relay.waiting import in_loop, until
from stream.world import consuming, key_arrival, ledger, operator, publishing, raw_callback, stream_config

from answerback.domain.models import CallbackKind
from answerback.ledger import Disposition


@in_loop
async def test_into_the_ledger(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    """What was acknowledged goes into the ledger, leaves the stream, and senders get the answers they get without it."""
    wanted = stream_config(nats_cluster)
    async with publishing(wanted) as (stream, publisher), operator(nats_cluster) as hand:
        await publisher.probe()
        verdicts = await publisher.record([raw_callback("a"), raw_callback("junk", raw=b"{"), key_arrival("a", "1")])
        assert [(reported.disposition, reported.kind, reported.result) for reported in verdicts] == [
            (Disposition.STORED, CallbackKind.PROMPT, 0),
            (Disposition.QUARANTINED, None, 3003),
            (Disposition.STORED, CallbackKind.KEY, 0),
        ]
        async with consuming(stream, tmp_path / "data"):
            await until(lambda: stream.metrics.consumed_batches == 1)
            await until(lambda: stream.metrics.in_flight_batches == 0)
            await hand.emptied(*[f"{wanted.name}-{n}" for n in (1, 2, 3)])
        assert stream.metrics.consumed_callbacks == {Disposition.STORED: 2, Disposition.QUARANTINED: 1}
    with ledger(tmp_path / "data") as opened:
        assert opened.call("a").keys == ("1",)
        assert [body.raw for body in opened.quarantined().items] == [b"{"]
