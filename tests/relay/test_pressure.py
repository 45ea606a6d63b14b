"""When what can wait should wait: while callbacks come in faster than one at a time is committed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from time import time_ns

from inbox.harness import config
from relay.harness import answered
from relay.waiting import in_loop, until
from structlog.testing import capture_logs

from answerback.domain.batches import BatchItem, decode_batch
from answerback.errors import LedgerUnavailable
from answerback.inbox import INBOX_FILE, Inbox, InboxReader
from answerback.intake import GroupCommitter, IntakeMetrics

MIB = 1024 * 1024


@asynccontextmanager
async def committing(directory: Path) -> AsyncIterator[GroupCommitter]:
    """A committer in front of an inbox."""
    inbox = Inbox.open(config(directory))
    inbox.start()
    committer = GroupCommitter(inbox, IntakeMetrics(), max_pending=10_000, max_batch=64, commit_timeout_s=10.0)
    await committer.start()
    yield committer
    await committer.stop(1.0)
    await inbox.stop(5.0)


@in_loop
async def test_many_callbacks_at_a_time_press(tmp_path: Path) -> None:
    """Large batches, one after the other, and more to come; neither few callbacks nor the time after them do."""
    async with committing(tmp_path) as committer:

        async def submit(name: str, count: int) -> set[bool]:
            seen: set[bool] = set()
            left = count
            done = asyncio.Event()

            def on_appended(error: LedgerUnavailable | None) -> None:
                nonlocal left
                assert error is None
                seen.add(committer.under_pressure)
                left -= 1
                if left == 0:
                    done.set()

            for n in range(count):
                committer.submit(BatchItem("default", answered(f"{name}-{n}"), time_ns() // 1000), on_appended)
            await done.wait()
            return seen

        for n in range(50):
            assert await submit(f"few-{n}", 2) == {False}
        assert any([True in await submit(f"many-{n}", 5000) for n in range(8)])
        assert not committer.under_pressure


@in_loop
async def test_large_bodies_go_in_small_batches(tmp_path: Path) -> None:
    """However many wait: a row of the log is bounded in bytes, but for a body that is larger alone. None is lost, and none overtakes."""
    sizes_mib = [1] * 19 + [20] + [5, 3, 1]
    async with committing(tmp_path) as committer:
        appended: asyncio.Queue[LedgerUnavailable | None] = asyncio.Queue()
        for size_mib in sizes_mib:
            committer.submit(BatchItem("default", bytes(size_mib * MIB), time_ns() // 1000), appended.put_nowait)
        assert {await appended.get() for _ in sizes_mib} == {None}
    with closing(InboxReader(tmp_path / INBOX_FILE)) as reader:
        (generation,) = reader.generations()
        rows = reader.read(generation, 0, 100, 1024 * MIB)
    batches = [[len(item.raw) // MIB for item in decode_batch(row.payload or b"").items] for row in rows]
    assert batches == [[1] * 8, [1] * 8, [1] * 3, [20], [5, 3], [1]]


@in_loop
async def test_an_answer_that_fails_costs_the_others_nothing(tmp_path: Path) -> None:
    """It is logged; everybody else in the batch is answered, and nobody waits for it any more."""
    async with committing(tmp_path) as committer:
        answers: list[LedgerUnavailable | None] = []
        done = asyncio.Event()

        def fail(_error: LedgerUnavailable | None) -> None:
            raise RuntimeError("the connection is gone")

        def answer(error: LedgerUnavailable | None) -> None:
            answers.append(error)
            if len(answers) == 2:
                done.set()

        with capture_logs() as logs:
            for n, on_appended in enumerate((answer, fail, answer)):
                committer.submit(BatchItem("default", answered(f"call-{n}"), time_ns() // 1000), on_appended)
            await done.wait()
            await until(lambda: [line["event"] for line in logs] == ["answer_failed"])
        assert (answers, committer.pending) == ([None, None], 0)
