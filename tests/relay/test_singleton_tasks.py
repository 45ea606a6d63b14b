import asyncio
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from builders import rejected
from relay.cluster_harness import ledger_config_on, ledger_of
from relay.thread_writer import Desk
from relay.waiting import in_loop, until

from answerback.alerts import AlertManager, LedgerSource, MessageContext
from answerback.domain.alert_rules import QuarantineRule
from answerback.relay.singleton_tasks import SingletonTasks


@in_loop
async def test_a_singleton_task_runs_as_long_as_its_lease_is_held() -> None:
    """It begins once and ends at once; one that fails ends no other."""
    doing: list[str] = []

    async def work(name: str) -> None:
        doing.append(name)
        if name == "fails":
            raise ValueError(name)
        try:
            await asyncio.Event().wait()
        finally:
            doing.remove(name)

    tasks = SingletonTasks({name: lambda name=name: work(name) for name in ("a", "b", "fails")})  # type: ignore[misc]
    assert tasks.names == ["a", "b", "fails"]
    for _ in range(2):
        tasks.set_active(["a", "fails"])
        await asyncio.sleep(0)
    assert doing == ["a", "fails"]
    tasks.set_active(["b"])
    await asyncio.sleep(0)
    assert (doing, tasks.active) == (["fails", "b"], ["b"])
    await tasks.stop()
    assert (doing, tasks.active) == (["fails"], [])


@in_loop
async def test_alerts_go_from_one_process_to_the_next(tmp_path: Path) -> None:
    """What one has seen the next one knows; who does not look reads what is kept."""
    ledger_config = ledger_config_on("sqlite", tmp_path / "data")
    rules = {"junk": QuarantineRule(metric="quarantine", above=0)}
    async with ledger_of(ledger_config) as board:
        desk = Desk(ledger_config)
        await desk.start()
        one, other = (
            AlertManager(
                LedgerSource(desk, board.ledger, rules, ("default",)),
                rules,
                (),
                message_context=MessageContext(timezone="UTC"),
                evaluation_interval_s=0.05,
            )
            for _ in range(2)
        )
        board.ledger.record([msgspec.structs.replace(rejected(b"junk"), received_at=datetime.now(UTC))])
        for looks, waits in ((one, other), (other, one), (one, other)):
            task = asyncio.create_task(looks.run_forever())
            await until(lambda looks=looks: looks.states()[0].firing)  # type: ignore[misc]
            await until(lambda waits=waits: waits.states()[0].firing)  # type: ignore[misc]
            assert looks.states()[0].since == waits.states()[0].since
            task.cancel()
            await asyncio.wait([task])
        await desk.stop(1.0)
