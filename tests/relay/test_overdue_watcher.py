import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from builders import ADMIN
from relay.factories import RETRY_POLICY
from relay.harness import LOOPBACK, answered, opened, writing, writing_apart
from relay.receiver import receiving
from relay.recording import record
from relay.thread_writer import Desk
from relay.waiting import in_loop, until

from answerback.domain.endpoints import EndpointConfig
from answerback.errors import LedgerUnavailable
from answerback.ledger import Ledger
from answerback.ledger.commands import Command
from answerback.ledger.read.calls import CallFilter, count_calls
from answerback.ledger.write.annotations import CallAnnotation
from answerback.ledger.writer.client import WriterClient
from answerback.relay import Relay
from answerback.relay.dispatcher import Dispatcher
from answerback.relay.metrics import RelayMetrics
from answerback.relay.overdue_watcher import OverdueWatcher
from answerback.relay.sender import WebhookSender

T = TypeVar("T")


class CountingClient:
    """The writer, and how often it was asked."""

    def __init__(self, writer: WriterClient) -> None:
        self._writer = writer
        self.asked = 0
        self.saturated: Collection[int] = ()
        self.failure: LedgerUnavailable | None = None

    def execute(self, command: Command[T]) -> "asyncio.Future[T]":
        """Pass it on."""
        self.asked += 1
        return self._writer.execute(command)


def soon(seconds: float) -> datetime:
    """So many seconds from now."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


@asynccontextmanager
async def running_relay(ledger: Ledger, writer: Desk) -> AsyncIterator[Relay]:
    """The whole relay, running."""

    async def count(wanted: CallFilter) -> int:
        return ledger.read(lambda connection: count_calls(connection, wanted))

    relay = Relay(
        writer, RETRY_POLICY, allowed_networks=(LOOPBACK,), default_channel="default", count=count, under_pressure=bool
    )
    writer.on_jobs = relay.enqueue
    await relay.start({})
    try:
        yield relay
    finally:
        await relay.stop(2.0)


@in_loop
async def test_an_overdue_call_is_delivered_once_when_its_time_is_over(tmp_path: Path) -> None:
    """Soon after `due_at`, not before, and not again; a call with an outcome in time is not overdue."""
    async with receiving() as receiver, writing(tmp_path) as writer:
        with closing(opened(tmp_path)) as ledger:
            async with running_relay(ledger, writer) as relay:
                await relay.endpoints.add(ADMIN, "crm", "default", EndpointConfig(url=receiver.url()))
                await relay.annotate_call("late", None, CallAnnotation(reference="order-1", due_at=soon(3600)))
                await relay.annotate_call("heard", None, CallAnnotation(due_at=soon(3600)))
                await record(writer, [answered("heard")], datetime.now(UTC))
                await until(lambda: len(receiver.posts) == 1)
                due_at = soon(0.3)
                for callid in ("late", "heard"):
                    await relay.annotate_call(callid, None, CallAnnotation(due_at=due_at))
                await until(lambda: len(receiver.posts) == 2)
                assert datetime.now(UTC) >= due_at
                await asyncio.sleep(0.2)  # nothing more comes: the next look finds it told
                reported = [json.loads(body) for body in receiver.bodies]
    assert [(one["type"], one["data"]["call"]["callid"]) for one in reported] == [
        ("voice.call.answered", "heard"),
        ("voice.call.overdue", "late"),
    ]
    assert reported[1]["data"]["call"]["reference"] == "order-1"
    assert reported[1]["data"]["callback"] is None


@in_loop
async def test_a_call_that_was_overdue_before_the_start_is_delivered_then(tmp_path: Path) -> None:
    """Nobody was there when its time was over; and an earlier time that comes later is not slept through."""
    async with receiving() as receiver, writing(tmp_path) as writer:
        with closing(opened(tmp_path)) as ledger:
            async with running_relay(ledger, writer) as relay:
                await relay.endpoints.add(ADMIN, "crm", "default", EndpointConfig(url=receiver.url()))
                due_at = soon(0.2)
                await relay.annotate_call("first", None, CallAnnotation(due_at=due_at))
            due_in_s = (due_at - datetime.now(UTC)).total_seconds()
            await asyncio.sleep(due_in_s)  # until it is due, with nobody there to notice
            async with running_relay(ledger, writer) as relay:
                await until(lambda: len(receiver.posts) == 1)
                await relay.annotate_call("far", None, CallAnnotation(due_at=soon(3600)))
                await relay.annotate_call("near", None, CallAnnotation(due_at=soon(0.2)))
                await until(lambda: len(receiver.posts) == 2)
    callids = [json.loads(body)["data"]["call"]["callid"] for body in receiver.bodies]
    assert callids == ["first", "near"]


@in_loop
async def test_while_the_ledger_is_away_it_is_not_asked_all_the_time(tmp_path: Path) -> None:
    """A call is overdue and the ledger cannot be written: it is asked again every second, not as fast as can be."""
    (tmp_path / "data").write_text("no directory")
    async with writing_apart(tmp_path / "data") as writer:
        client, webhook_sender = CountingClient(writer), WebhookSender()
        overdue = OverdueWatcher(client, Dispatcher(client, webhook_sender, RelayMetrics(), RETRY_POLICY))
        overdue.schedule(soon(-1))
        running = asyncio.create_task(overdue.run())
        await asyncio.sleep(1.5)  # what is counted is how often it asks in that time
        running.cancel()
        await asyncio.wait([running])
        await webhook_sender.close()
        assert client.asked <= 4
