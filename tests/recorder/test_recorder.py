"""What was answered from the inbox goes into the ledger, each row once, whatever fails in between."""

import asyncio
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest
from builders import key_press, status
from contract import delivery_helpers
from contract.databases import ledger_database
from contract.test_statistics import EVER, everything, recount, said
from recorder.harness import InlineClient, append, opened, recorded, recording, writing
from relay.harness import writer_pids
from relay.waiting import in_loop, until
from sqlalchemy import select
from structlog.testing import capture_logs

from answerback.domain.calls import fold
from answerback.domain.models import CallbackKind
from answerback.errors import PositionConflict
from answerback.inbox import INBOX_FILE
from answerback.ledger import DeliveryJob, Disposition, Ledger, LedgerConfig
from answerback.ledger.commands import Command, LogPositions, ProbeWrite, RecordLog
from answerback.ledger.tables import call_key, callbacks, calls

T = TypeVar("T")


def counts(ledger: Ledger, callids: list[str]) -> set[int]:
    """How often the callbacks of these calls came again: all of them once is {0}."""
    repeats = select(calls.c.call_key, callbacks.c.duplicates).join(callbacks, callbacks.c.call_id == calls.c.id)
    found = ledger.read(lambda connection: [tuple(row) for row in connection.execute(repeats)])
    wanted = {call_key(callid) for callid in callids}
    assert wanted <= {key for key, _ in found}
    return {duplicates for key, duplicates in found if key in wanted}


@in_loop
async def test_it_records_what_is_appended(ledger: Ledger, tmp_path: Path) -> None:
    """As soon as it is appended; metrics and the ledger's position say so."""
    client = InlineClient(ledger)
    async with opened(tmp_path) as inbox, recording(inbox, client) as (recorder, metrics):
        await append(inbox, [status(callid="a"), status(callid="b")])
        assert await recorder.catch_up(5) == 0.0
        await append(inbox, [status(callid="a"), status(callid="c")])
        assert await recorder.catch_up(5) == 0.0
        assert metrics.callbacks == {Disposition.STORED: 3, Disposition.DUPLICATE: 1}
        assert (metrics.batch_sizes.total, metrics.failures) == (4, 0)
        assert LogPositions([inbox.present.id]).run(ledger) == {inbox.present.id: 2}


@in_loop
async def test_it_rests_but_for_a_reader(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After few callbacks it lets more gather; somebody who reads ends that at once, also while it lasts."""
    monkeypatch.setattr("answerback.recorder.recorder._REST_S", 3600.0)
    async with opened(tmp_path) as inbox, recording(inbox, InlineClient(ledger)) as (recorder, metrics):
        await append(inbox, [status(callid="a")])
        await recorded(recorder)
        for n in range(3):
            await append(inbox, [status(callid=f"rests{n}")])
        assert metrics.callbacks == {Disposition.STORED: 1}
        assert await recorder.catch_up(60) == 0.0
        assert sum(metrics.batch_sizes.counts) == 2


@in_loop
async def test_it_hardly_rests_where_deliveries_follow(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for deliveries is not made to wait for others, even where the last few went to no endpoint."""
    monkeypatch.setattr("answerback.recorder.recorder._REST_S", 3600.0)
    monkeypatch.setattr("answerback.recorder.recorder._DELIVERING_S", 60.0)
    delivery_helpers.endpoint(ledger, kinds=(CallbackKind.KEY,))
    async with opened(tmp_path) as inbox, recording(inbox, InlineClient(ledger)) as (recorder, _):
        for callback in (key_press(callid="a"), status(callid="b"), status(callid="c"), key_press(callid="d")):
            await append(inbox, [callback])
            await until(lambda: not recorder.lag.rows)


@in_loop
async def test_older_generations_go_first(ledger: Ledger, tmp_path: Path) -> None:
    """What former starts have left is recorded before what comes now, in the order of the starts; keys keep theirs."""
    for key in "12":
        async with opened(tmp_path) as inbox:
            await append(inbox, [status(callid="a"), key_press(callid="a", key=key)])
    client = InlineClient(ledger)
    async with opened(tmp_path) as inbox:
        await append(inbox, [key_press(callid="a", key="3")])
        order = [generation.id for generation in inbox.generations]
        async with recording(inbox, client) as (recorder, _):
            assert recorder.lag.rows == 3
            assert await recorder.catch_up(5) == 0.0
    assert [command.log for command in client.recorded] == order
    assert ledger.call("a").keys == ("1", "2", "3")


@in_loop
async def test_what_waits_says_why_and_since_when(ledger: Ledger, tmp_path: Path) -> None:
    """While the ledger is away nothing is waited for; why, and since when, is kept until it is back."""
    client = InlineClient(ledger)
    async with opened(tmp_path) as inbox, recording(inbox, client) as (recorder, metrics):
        client.fault = "away"
        await append(inbox, [status(callid="a"), status(callid="b")])
        await until(lambda: recorder.failure)
        assert 0.0 < await recorder.catch_up(60) < 30
        assert (recorder.lag.rows, recorder.lag.callbacks) == (1, 2)
        noted = recorder.note_failure()
        assert noted is not None
        assert noted.reason == "the database is locked"
        await until(lambda: metrics.failures >= 3)
        assert recorder.note_failure() == noted
        client.fault = ""
        await recorded(recorder)
        assert recorder.note_failure() is None
    assert counts(ledger, ["a", "b"]) == {0}


@in_loop
async def test_an_older_generation_does_not_hide_why_nothing_is_recorded(ledger: Ledger, tmp_path: Path) -> None:
    """That all of it is recorded is no sign that anything can be: the failure stays, and its time."""
    client = InlineClient(ledger)
    async with opened(tmp_path) as inbox, recording(inbox, client) as (recorder, _):
        await append(inbox, [status(callid="a")])
        await recorded(recorder)
    with capture_logs() as logs:
        async with opened(tmp_path) as inbox, recording(inbox, client) as (recorder, metrics):
            client.fault = "away"
            await append(inbox, [status(callid="b")])
            await until(lambda: metrics.failures >= 3)
            assert [one["event"] for one in logs] == ["recorder_stalled"]
            client.fault = ""
            await recorded(recorder)
    assert logs[-1]["event"] == "recorder_recovered"


@pytest.mark.parametrize("fault", ["refused", "killed", "lost", "waiting"])
@in_loop
async def test_whatever_becomes_of_a_command(ledger: Ledger, tmp_path: Path, fault: str) -> None:
    """Not begun, rolled back, done without an answer, or stopped early: each row is recorded once."""
    callids = [f"c{n}" for n in range(600)]
    client = InlineClient(ledger)
    async with opened(tmp_path) as inbox, recording(inbox, client) as (recorder, _):
        client.fault = fault
        await append(inbox, [status(callid=callid) for callid in callids], rows=6)
        await recorded(recorder)
    assert counts(ledger, callids) == {0}
    assert said(ledger.statistics(EVER)) == recount(everything(ledger))


@in_loop
async def test_a_ledger_that_went_back_is_recorded_again(ledger: Ledger, tmp_path: Path) -> None:
    """The position is the ledger's: where it is an older one again, what it misses is recorded from there."""
    client = InlineClient(ledger)
    async with opened(tmp_path) as inbox, recording(inbox, client) as (recorder, _):
        for n in range(4):
            await append(inbox, [status(callid=f"c{n}")])
            assert await recorder.catch_up(5) == 0.0
        with ledger.engine.execution_options(writes=True).begin() as connection:
            connection.exec_driver_sql("UPDATE log_positions SET position = 2")
        await append(inbox, [status(callid="c4")])
        await until(lambda: LogPositions([inbox.present.id]).run(ledger)[inbox.present.id] == 5)
    assert [counts(ledger, [f"c{n}"]) for n in range(5)] == [{0}, {0}, {1}, {1}, {0}]


class _Rival(InlineClient):
    """Somebody else records each row a moment earlier, as long as he is at work."""

    is_at_work = True
    asked = 0

    def execute(self, command: Command[T]) -> "asyncio.Future[T]":
        """Carry it out for somebody else, and then for the one who asks."""
        if isinstance(command, RecordLog) and self.is_at_work:
            super().execute(command)
        self.asked += isinstance(command, LogPositions)
        return super().execute(command)


@in_loop
async def test_a_second_recorder_stops_until_the_first_has_ended(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says why, and records nothing as long as the position moves by itself; then it goes on, and nothing is recorded twice."""
    monkeypatch.setattr("answerback.recorder.inbox_recorder._ALONE_AFTER_S", 0.5)
    monkeypatch.setattr("answerback.recorder.inbox_recorder.MAX_CALLBACKS", 1)  # the first has two of the rows, then
    callids = [f"c{n}" for n in range(8)]
    client = _Rival(ledger)
    async with opened(tmp_path) as inbox:
        await append(inbox, [status(callid=callid) for callid in callids], rows=8)
        async with recording(inbox, client) as (recorder, _):
            with capture_logs() as logs:
                await until(lambda: isinstance(recorder.failure, PositionConflict))
                assert await recorder.catch_up(60) > 0
                tried = len(client.recorded)
                log = inbox.present.id
                for _ in range(3):
                    at, asked = LogPositions([log]).run(ledger)[log], client.asked
                    (row,) = await inbox.read(log, at, 1, 1_000_000)
                    RecordLog(log, at, [(row.position, row.payload)]).run(ledger)
                    await until(lambda asked=asked: client.asked > asked)  # type: ignore[misc]  # bound
                    assert (len(client.recorded), str(recorder.failure)[:4]) == (tried, "log ")
                client.is_at_work = False
                await recorded(recorder)
            assert recorder.failure is None
            assert [line["event"] for line in logs].count("recorder_conflict") == 1
            assert "recorder_recovered" in {line["event"] for line in logs}
    assert counts(ledger, callids) == {0}


@in_loop
async def test_a_writer_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be recorded then, whether something waits or not: the recorder and the log say so, until it answers again."""
    monkeypatch.setattr("answerback.ledger.writer.client._WATCH_EVERY_S", 0.05)
    others = writer_pids()
    config = LedgerConfig(data_dir=str(tmp_path), allow_unsafe_filesystem=True)
    async with writing(config) as writer, opened(tmp_path) as inbox, recording(inbox, writer) as (recorder, _):
        await append(inbox, [status(callid="a")])
        await recorded(recorder)
        (pid,) = writer_pids() - others
        with capture_logs() as logs:
            os.kill(pid, signal.SIGSTOP)
            try:
                heartbeat = writer.execute(ProbeWrite())
                await append(inbox, [status(callid="b")])
                began_s = time.monotonic()
                assert 0.0 < await recorder.catch_up(0.05) < 30, (
                    "as long as nobody knows better, a reader waits its time"
                )
                assert time.monotonic() - began_s > 0.04
                monkeypatch.setattr("answerback.ledger.writer.client._SILENT_AFTER_S", 0.3)
                await until(lambda: recorder.failure)
                assert str(recorder.failure) == "the ledger's writer does not answer"
                assert 0.0 < await recorder.catch_up(60) < 30
                await until(lambda: [line["pid"] for line in logs if line["event"] == "writer_silent"] == [pid])
            finally:
                os.kill(pid, signal.SIGCONT)
            await heartbeat
            await recorded(recorder)
            assert recorder.failure is None
            await until(lambda: logs[-1]["event"] == "writer_answers")


@in_loop
async def test_damaged_rows(ledger: Ledger, tmp_path: Path) -> None:
    """What a former start has left and cannot be read is in quarantine, and holds nothing up."""
    async with opened(tmp_path) as inbox:
        for n in range(4):
            await append(inbox, [status(callid=f"c{n}")])
    with closing(sqlite3.connect(tmp_path / INBOX_FILE, isolation_level=None)) as file:
        file.execute(
            "UPDATE rows SET payload = zeroblob(9) WHERE key IN (SELECT key FROM rows ORDER BY key LIMIT 2 OFFSET 1)"
        )
    async with opened(tmp_path) as inbox, recording(inbox, InlineClient(ledger)) as (recorder, metrics):
        assert await recorder.catch_up(5) == 0.0
        assert metrics.unreadable_rows == 2
    assert {call.callid for call in ledger.calls().items} == {"c0", "c3"}
    (kept,) = ledger.quarantined().items
    assert kept.reason.startswith("rows 2 to 3 of log ")


@in_loop
async def test_a_callback_that_trips_the_program(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone it waits, for the program may trip over any; as soon as another one is recorded it is set aside."""

    def stumbling(before: Any, item: Any) -> Any:
        if item.callback.callid == "poison":
            raise KeyError(item.callback.callid)
        return fold(before, item)

    monkeypatch.setattr("answerback.ledger.write.batch_writer.fold", stumbling)
    async with opened(tmp_path) as inbox, recording(inbox, InlineClient(ledger)) as (recorder, metrics):
        await append(inbox, [status(callid="poison")])
        await until(lambda: metrics.failures >= 2)
        assert ledger.quarantine_size()[0] == 0
        await append(inbox, [status(callid="a")])
        await recorded(recorder)
        assert recorder.failure is None
    assert [call.callid for call in ledger.calls().items] == ["a"]
    assert ledger.quarantine_size()[0] == 1


@in_loop
async def test_its_end(ledger: Ledger, tmp_path: Path) -> None:
    """Stopped, it records what is left; with the ledger away it does not wait, and the next start records the rest."""
    client = InlineClient(ledger)
    async with opened(tmp_path) as inbox:
        async with recording(inbox, client) as (recorder, _):
            await append(inbox, [status(callid=f"c{n}") for n in range(2500)], rows=25)
        assert recorder.lag.rows == 0
        client.fault = "away"
        async with asyncio.timeout(3), recording(inbox, client) as (recorder, _):
            await append(inbox, [status(callid="late")])
        assert recorder.lag.rows == 1
    client.fault = ""
    async with opened(tmp_path) as inbox, recording(inbox, client) as (recorder, _):
        assert await recorder.catch_up(5) == 0.0
    assert counts(ledger, ["late", "c2499"]) == {0}


@in_loop
async def test_deliveries_go_out_with_the_commit(tmp_path: Path) -> None:
    """What can be sent is handed on as it is recorded, by a real writer."""
    config = LedgerConfig(data_dir=str(tmp_path), allow_unsafe_filesystem=True)
    with closing(config.open()) as ledger:
        delivery_helpers.endpoint(ledger, "crm")
    jobs: list[DeliveryJob] = []
    async with writing(config) as writer, opened(tmp_path) as inbox, recording(inbox, writer) as (recorder, _):
        writer.on_jobs = lambda more, _: jobs.extend(more)
        await append(inbox, [status(callid="a"), status(callid="a"), status(callid="b")])
        await recorded(recorder)
        assert len(jobs) == 2


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
@in_loop
async def test_the_writer_is_killed(tmp_path: Path, backend: str) -> None:
    """Again and again while it records: each row is in the ledger once, and what waits for a while is all there."""
    url = ledger_database(tmp_path) if backend == "postgresql" else None
    config = LedgerConfig(data_dir=str(tmp_path), url=url, allow_unsafe_filesystem=True)
    others, callids = writer_pids(), [f"c{n}" for n in range(4000)]
    async with writing(config) as writer, opened(tmp_path) as inbox, recording(inbox, writer) as (recorder, _):
        for first in range(0, len(callids), 2000):
            await append(inbox, [status(callid=callid) for callid in callids[first : first + 2000]], rows=40)
            (pid,) = writer_pids() - others
            os.kill(pid, signal.SIGKILL)
            await until(lambda pid=pid: writer_pids() - others - {pid}, every_s=0.05)  # type: ignore[misc]  # bound
        await recorded(recorder)
    with closing(config.open()) as ledger:
        assert counts(ledger, callids[::97]) == {0}
        assert ledger.statistics(EVER).total.calls == len(callids)
        assert said(ledger.statistics(EVER)) == recount(everything(ledger))
