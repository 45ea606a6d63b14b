from pathlib import Path
from typing import Any

from relay.cluster_harness import ledger_config_on, ledger_of
from relay.thread_writer import Desk
from relay.waiting import in_loop, until

from answerback.heartbeat import Heartbeat, new_instance
from answerback.ledger.admin.instances import find_instances


@in_loop
async def test_a_process_says_that_it_lives_until_it_ends(tmp_path: Path) -> None:
    """Again and again, and what it is like now; at its end it is forgotten at once."""
    ledger_config = ledger_config_on("sqlite", tmp_path / "data")
    state: dict[str, Any] = {"pending": 1}
    async with ledger_of(ledger_config) as board:
        desk = Desk(ledger_config)
        await desk.start()
        me = new_instance(["relay"])
        heartbeats = Heartbeat(desk, me, lambda: state, interval_s=0.05)
        heartbeats.start()
        await until(lambda: [seen.instance for seen in board.ledger.read(find_instances)] == [me])
        state["pending"] = 2
        await until(lambda: board.ledger.read(find_instances)[0].status == {"pending": 2})
        await heartbeats.stop()
        assert board.ledger.read(find_instances) == []
        await desk.stop(1.0)


def test_no_two_starts_have_one_id() -> None:
    """Not even on one host."""
    assert len({new_instance(["relay"]).id for _ in range(100)}) == 100
