import asyncio
from datetime import UTC, datetime
from pathlib import Path

from relay.harness import answered, writing_apart
from relay.waiting import in_loop

from answerback.domain.models import RawCallback
from answerback.intake import GroupCommitter, IntakeMetrics


@in_loop
async def test_many_callbacks_at_a_time_press(tmp_path: Path) -> None:
    """Large batches, one after the other, and more to come; neither few callbacks nor the time after them do."""
    async with writing_apart(tmp_path) as writer:
        committer = GroupCommitter(writer, IntakeMetrics(), max_pending=10_000, max_batch=64, commit_timeout_s=10.0)
        await committer.start()

        async def submit(name: str, count: int) -> set[bool]:
            seen = set()
            raw_callbacks = [RawCallback("default", answered(f"{name}-{n}"), datetime.now(UTC)) for n in range(count)]
            for verdict in asyncio.as_completed([committer.submit(raw_callback) for raw_callback in raw_callbacks]):
                await verdict
                seen.add(committer.under_pressure)
            return seen

        for n in range(50):
            assert await submit(f"few-{n}", 2) == {False}
        assert True in await submit("many", 2000)
        assert not committer.under_pressure
        await committer.stop(1.0)
