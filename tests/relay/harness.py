"""A relay on a real ledger, its parts at hand."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec
import psutil
from builders import ADMIN, key_press, status, wire
from contract.backends import BACKENDS
from contract.databases import ledger_database
from contract.delivery_helpers import AttemptRow, DeliveryRow, tried, undelivered
from forking import WriterProcess
from relay.factories import retry_policy
from relay.recording import record
from relay.thread_writer import Desk
from relay.waiting import until
from sqlalchemy import func, select

from answerback.domain.endpoints import DeliveryState, Endpoint, EndpointConfig
from answerback.ledger import Ledger, LedgerConfig
from answerback.ledger.admin.endpoints import EndpointDraft
from answerback.ledger.commands import AddEndpoint, AnnotateCall
from answerback.ledger.tables import deliveries
from answerback.ledger.write.annotations import CallAnnotation
from answerback.ledger.writer.client import WriterClient
from answerback.relay import RetryPolicy
from answerback.relay.dispatcher import Dispatcher
from answerback.relay.endpoint_changes import ConfigEndpoint
from answerback.relay.endpoint_manager import EndpointManager
from answerback.relay.metrics import RelayMetrics
from answerback.relay.sender import WebhookSender
from answerback.relay.signing import generate_secret

LOOPBACK = ip_network("127.0.0.0/8")

QUICK = retry_policy(retry_schedule_s=(0.1,) * 50, breaker_threshold=1000)
"""Retries that a test can wait for."""


def answered(callid: str) -> bytes:
    """The body that tells of an answered call."""
    return wire(status(callid=callid))


def pressed(callid: str, key: str) -> bytes:
    """The body that tells of a key."""
    return wire(key_press(callid=callid, key=key))


def writer_pids() -> set[int]:
    """The writers that this process has started, and that run."""
    return {one.pid for one in WriterProcess.started if one.returncode is None and psutil.pid_exists(one.pid)}


class RelayHarness:
    """The parts as `relay.Relay` puts them together, and what tests do with them."""

    def __init__(self, ledger: Ledger, writer: Desk | WriterClient, policy: RetryPolicy) -> None:
        self.ledger = ledger
        self.writer = writer
        self.sender = WebhookSender((LOOPBACK,))
        self.metrics = RelayMetrics()
        self.callbacks_press = False
        self.dispatcher = Dispatcher(writer, self.sender, self.metrics, policy, lambda: self.callbacks_press)
        self.endpoint_manager = EndpointManager(writer, self.dispatcher, self.sender)

    async def start(self, wanted: dict[str, ConfigEndpoint] | None = None) -> None:
        """Begin to tell."""
        await self.dispatcher.start(await self.endpoint_manager.start(wanted or {}))

    async def stop(self, timeout_s: float = 2.0) -> None:
        """End."""
        await self.dispatcher.stop(timeout_s)
        await self.sender.close()

    async def endpoint(self, url: str, name: str = "crm", **config: Any) -> Endpoint:
        """A new endpoint."""
        return await self.endpoint_manager.add(ADMIN, name, "default", EndpointConfig(url=url, **config))

    async def record(self, *raws: bytes) -> None:
        """Callbacks come in, in one batch."""
        now = datetime.now(UTC)
        await record(self.writer, raws, now)

    async def annotate(self, callid: str, **said: Any) -> None:
        """The business speaks of a call."""
        annotated = await self.writer.execute(AnnotateCall("default", None, callid, CallAnnotation(**said)))
        self.dispatcher.invalidate_call(annotated.call.channel, annotated.call_id)
        self.dispatcher.enqueue(annotated.jobs)

    def undelivered(self, to: Endpoint | None = None) -> list[DeliveryRow]:
        """Every delivery there ever was."""
        return undelivered(self.ledger, to)

    def tried(self) -> list[AttemptRow]:
        """Every attempt that was kept."""
        return tried(self.ledger)

    def states(self, to: Endpoint | None = None) -> list[DeliveryState]:
        """The state of every delivery there ever was."""
        return [one.state for one in self.undelivered(to)]

    async def settled(self, count: int, to: Endpoint | None = None, timeout_s: float = 15.0) -> None:
        """Wait until so many deliveries have come to their end, and no other is pending."""
        query = select(deliveries.c.state, func.count()).group_by(deliveries.c.state)
        if to is not None:
            query = query.where(deliveries.c.endpoint_id == to.id)

        def at_their_end() -> bool:
            counts = {
                DeliveryState(state): of_it for state, of_it in self.ledger.read(lambda c: c.execute(query).all())
            }
            return counts.keys() <= {DeliveryState.DELIVERED, DeliveryState.DEAD} and sum(counts.values()) == count

        await until(at_their_end, timeout_s, every_s=0.02)


async def kill_writer() -> None:
    """SIGKILL to the only writer that is a process of its own; returns when the process that started it has seen it."""
    (pid,) = writer_pids()
    psutil.Process(pid).kill()
    await until(lambda: pid not in writer_pids())  # not a zombie any more either


_backend = "sqlite"


@contextmanager
def on(backend: str) -> Iterator[None]:
    """Let every directory stand for a ledger on that backend, one of contract.backends."""
    global _backend  # noqa: PLW0603  # the tests name directories only
    before, _backend = _backend, backend
    try:
        yield
    finally:
        _backend = before


def opened(data_dir: Path) -> Ledger:
    """The ledger that a directory stands for."""
    return BACKENDS[_backend](data_dir)()


def opening_of(data_dir: Path) -> LedgerConfig:
    """How a writer opens it."""
    store = ledger_database(data_dir) if _backend == "postgresql" else None
    return LedgerConfig(data_dir=str(data_dir), url=store, allow_unsafe_filesystem=True)


@asynccontextmanager
async def writing(data_dir: Path, **config: Any) -> AsyncIterator[Desk]:
    """A writer of the ledger there; `config`: what it opens it with."""
    desk = Desk(msgspec.structs.replace(opening_of(data_dir), **config))
    await desk.start()
    try:
        yield desk
    finally:
        await desk.stop(10.0)


@asynccontextmanager
async def writing_apart(data_dir: Path) -> AsyncIterator[WriterClient]:
    """A writer of the ledger there in a process of its own."""
    writer = WriterClient(opening_of(data_dir))
    await writer.start()
    try:
        yield writer
    finally:
        await writer.stop(10.0)


@asynccontextmanager
async def relaying(
    data_dir: Path,
    policy: RetryPolicy = QUICK,
    wanted: dict[str, ConfigEndpoint] | None = None,
    writes: Callable[[Path], AbstractAsyncContextManager[Desk | WriterClient]] = writing,
) -> AsyncIterator[RelayHarness]:
    """A relay on the ledger there, that runs."""
    with closing(opened(data_dir)) as ledger:
        async with writes(data_dir) as writer:
            harness = RelayHarness(ledger, writer, policy)
            writer.on_jobs, writer.saturated = harness.dispatcher.enqueue, harness.dispatcher.saturated
            await harness.start(wanted)
            try:
                yield harness
            finally:
                await harness.stop()


async def add_directly(writer: Desk | WriterClient, names: Sequence[str], url: str) -> list[Endpoint]:
    """Endpoints in the ledger, of which no relay knows yet."""
    drafts = [
        EndpointDraft(name=name, channel="default", config=EndpointConfig(url=url), secret=generate_secret())
        for name in names
    ]
    return list(await asyncio.gather(*[writer.execute(AddEndpoint(ADMIN, draft)) for draft in drafts]))


def with_config(endpoint: Endpoint, **changes: Any) -> EndpointConfig:
    """The endpoint's config with changes."""
    return msgspec.structs.replace(endpoint.config, **changes)
