"""Several relays on one ledger: each a member with a writer of its own, in this process or in one that can be killed."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil
import uvloop
from builders import ADMIN
from contract.backends import ledger_file
from contract.databases import ledger_database
from contract.delivery_helpers import DeliveryRow, undelivered
from forking import PEER, Forked, launch
from relay.harness import LOOPBACK, QUICK
from relay.receiver import Exchange, Receiver
from relay.recording import record
from relay.thread_writer import Desk
from relay.waiting import until
from sqlalchemy import func, select

from answerback.domain.endpoints import DeliveryState, Endpoint, EndpointConfig
from answerback.heartbeat import Heartbeat, new_instance
from answerback.ledger import Ledger, LedgerConfig
from answerback.ledger.admin.leases import find_leases
from answerback.ledger.backends.postgresql.notifier import Notification, PgNotifier
from answerback.ledger.tables import deliveries
from answerback.ledger.writer.client import WriterClient
from answerback.relay import ClusterConfig, Relay
from answerback.relay.endpoint_queue import EndpointQueue
from answerback.relay.singleton_tasks import SingletonJob

ALL = ("intake", "recorder", "relay", "api")
NO_RELAY = ("intake", "recorder", "api")
TTL_S = 3.0
"""How long leases last in these tests."""
LONG_TTL_S = 60.0
"""How long they last where they are given back, and nobody waits for their end."""


def ledger_config_on(backend: str, directory: Path) -> LedgerConfig:
    """A store of the test's own."""
    store = None
    if backend == "postgresql":
        store = ledger_database(directory)
    else:
        ledger_file(directory)
    return LedgerConfig(data_dir=str(directory), url=store, allow_unsafe_filesystem=True)


class RelayProcess:
    """One member: its parts, and what tests do with them."""

    def __init__(self, writer: Desk | WriterClient, relay: Relay, id_: str) -> None:
        self.writer = writer
        self.relay = relay
        self.id = id_
        self.deaf = False

    def hear(self, ring: Notification) -> None:
        """Another rang."""
        if not self.deaf:
            self.relay.on_notification(ring)

    @property
    def queues(self) -> list[EndpointQueue]:
        """What it has in memory of each endpoint that it tells."""
        dispatcher = self.relay._dispatcher  # noqa: SLF001  # nothing outside shows what is ready to go out
        return [queue for queue in map(dispatcher.queue_for, dispatcher.active_ids) if queue is not None]

    async def endpoint(self, url: str, name: str = "crm", **config: Any) -> Endpoint:
        """A new endpoint."""
        added = await self.relay.endpoints.add(ADMIN, name, "default", EndpointConfig(url=url, **config))
        assert isinstance(added, Endpoint)
        return added

    async def record(self, *raws: bytes, at: datetime | None = None) -> None:
        """Callbacks come in, in one batch; now unless told otherwise."""
        received_at = at or datetime.now(UTC)
        await record(self.writer, raws, received_at)


@asynccontextmanager
async def member(
    ledger_config: LedgerConfig,
    roles: Sequence[str] = ALL,
    *,
    own_writer: bool = False,
    singletons: dict[str, SingletonJob] | None = None,
    ttl_s: float = TTL_S,
    look_s: float = 0.3,
    sweep_s: float | None = None,
) -> AsyncIterator[RelayProcess]:
    """A member that serves the ledger with others; on SQLite, where there is no bell, it finds everything by itself."""
    me = new_instance(roles)
    writer = WriterClient(ledger_config) if own_writer else Desk(ledger_config)
    await writer.start()
    relay = Relay(
        writer,
        QUICK,
        allowed_networks=(LOOPBACK,),
        default_channel="default",
        count=lambda _: asyncio.sleep(0, 0),
        under_pressure=lambda: False,
    )
    writer.on_jobs, writer.saturated = relay.enqueue, relay.saturated
    pg_notifier = PgNotifier(ledger_config.url, me.id) if ledger_config.url is not None else None
    heartbeats = Heartbeat(writer, me, lambda: {"relay": relay.status}, interval_s=0.5)
    heartbeats.start()
    share = ClusterConfig(
        instance_id=me.id,
        notify=pg_notifier.notify if pg_notifier else lambda _: None,
        singletons=singletons or {},
        ttl_s=ttl_s,
        renew_s=0.3,
        refresh_s=look_s,
        sweep_s=sweep_s or (5.0 if pg_notifier else 0.3),
    )
    await relay.join(share, {}, takes_leases="relay" in roles)
    relay_process = RelayProcess(writer, relay, me.id)
    if pg_notifier is not None:
        pg_notifier.start(relay_process.hear)
    try:
        yield relay_process
    finally:
        await heartbeats.stop()
        await relay.stop(2.0)
        if pg_notifier is not None:
            await pg_notifier.stop()
        await writer.stop(10.0)


class Peer:
    """A member in a process of its own."""

    def __init__(self, process: Forked, id_: str) -> None:
        self.process = process
        self.id = id_
        self.pids = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]

    def send(self, number: signal.Signals) -> None:
        """Signal it and its writer."""
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def send_writer(self, number: signal.Signals) -> None:
        """Signal only its writer: it has no ledger any more."""
        os.kill(self.pids[1], number)


_peers: set[int] = set()
"""The processes that may deliver to a receiver, apart from this one."""


@asynccontextmanager
async def peer(ledger_config: LedgerConfig) -> AsyncIterator[Peer]:
    """A member with all roles in a process that is killed at the end."""
    given = [json.dumps(msgspec.structs.asdict(ledger_config))]
    reading, writing = os.pipe()
    with os.fdopen(reading) as reported:
        with os.fdopen(writing, "wb") as err, open(os.devnull, "wb") as out:  # noqa: ASYNC230, PTH123
            process = launch(given, cwd=Path.cwd(), env=os.environ, stdout=out, stderr=err, program=PEER)
        pids = [process.pid]
        _peers.add(process.pid)
        try:
            made = Peer(process, (await asyncio.to_thread(reported.readline)).strip())
            pids = made.pids
            yield made
        finally:
            for pid in pids:  # also where it did not come as far as to tell its id
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(process.wait)
            _peers.discard(process.pid)


async def _serve(ledger_config: LedgerConfig) -> None:
    """Be a member until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with member(ledger_config, own_writer=True) as me:
        print(me.id, file=sys.stderr, flush=True)  # noqa: T201  # its parent reads it; the log goes to stdout
        await ended.wait()


class Board:
    """What all can see of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def holders(self) -> dict[str, str]:
        """Who holds which endpoint, by its id."""
        found = self.ledger.read(find_leases)
        return {lease.name.removeprefix("endpoint:"): lease.holder for lease in found if "endpoint:" in lease.name}

    def shares(self, *parties: RelayProcess | Peer) -> list[int]:
        """How many endpoints each holds."""
        holders = list(self.holders().values())
        return [holders.count(relay_process.id) for relay_process in parties]

    def expire_us(self, party: RelayProcess | Peer) -> int:
        """When the first of its leases is over."""
        return min(lease.expires_us for lease in self.ledger.read(find_leases) if lease.holder == party.id)

    async def shared(self, *shares: tuple[RelayProcess | Peer, int], timeout_s: float = 15.0) -> None:
        """Wait until each holds so many."""
        parties, wanted = [relay_process for relay_process, _ in shares], [count for _, count in shares]
        await until(lambda: self.shares(*parties) == wanted, timeout_s, every_s=0.05)

    def undelivered(self) -> list[DeliveryRow]:
        """Every delivery there ever was."""
        return undelivered(self.ledger)

    async def delivered(self, count: int, timeout_s: float = 20.0) -> None:
        """Wait until so many deliveries were made, and no other is pending."""
        query = select(deliveries.c.state, func.count()).group_by(deliveries.c.state)

        def done() -> bool:
            counts = [
                (DeliveryState(state), of_it) for state, of_it in self.ledger.read(lambda c: c.execute(query).all())
            ]
            return counts == [(DeliveryState.DELIVERED, count)]

        await until(done, timeout_s, every_s=0.05)


@asynccontextmanager
async def ledger_of(ledger_config: LedgerConfig) -> AsyncIterator[Board]:
    """The ledger, opened to look at."""
    async with AsyncExitStack() as stack:
        yield Board(stack.enter_context(closing(ledger_config.open())))


class Witness:
    """A script that sees which process tells which endpoint, when; and answers after a while."""

    def __init__(self, receiver: Receiver, takes_s: float = 0.02) -> None:
        self._receiver = receiver
        self._takes_s = takes_s
        self._pids: dict[int, int] = {}  # by the port that the process sends from
        self._looking: set[asyncio.Task[None]] = set()
        self._busy: dict[str, list[int]] = {}
        self._together: list[tuple[str, int, int]] = []
        self.holds: asyncio.Event | None = None
        """Nothing is answered before this."""

    async def __call__(self, exchange: Exchange) -> None:
        """Note it, and answer."""
        path, port = exchange.post.line.split()[1], exchange.writer.get_extra_info("peername")[1]
        busy = self._busy.setdefault(path, [])
        self._together += [(path, port, other) for other in busy]
        busy.append(port)
        if port not in self._pids:
            self._pids[port] = 0
            task = asyncio.create_task(asyncio.to_thread(self._look))  # it may take long, and must hold up nobody
            self._looking.add(task)
        try:
            await asyncio.sleep(self._takes_s)  # a slow receiver
            if self.holds is not None:
                await self.holds.wait()
            await exchange.answer()
        finally:
            busy.remove(port)

    async def overlaps(self) -> list[tuple[str, int, int]]:
        """Which endpoints two processes delivered to at a time, and which processes."""
        await self.looked()
        reported = [(path, self._pids[one], self._pids[other]) for path, one, other in self._together]
        return [(path, one, other) for path, one, other in reported if one and other and one != other]

    async def looked(self) -> None:
        """Return when it is known who has delivered until now."""
        await asyncio.gather(*self._looking)

    @property
    def pids(self) -> set[int]:
        """The processes that have delivered."""
        return {pid for pid in self._pids.values() if pid}

    def connected(self, pid: int) -> bool:
        """Whether a process is connected to the receiver."""
        return any(one.status == psutil.CONN_ESTABLISHED for one in self._connections(psutil.Process(pid)))

    def _look(self) -> None:
        """See who has which port now."""
        for pid in (os.getpid(), *list(_peers)):
            with contextlib.suppress(psutil.Error):
                self._pids |= {one.laddr.port: pid for one in self._connections(psutil.Process(pid))}

    def _connections(self, process: psutil.Process) -> list[Any]:
        """Those of a process to the receiver."""
        found = process.net_connections("tcp")
        return [one for one in found if one.raddr and one.raddr.port == self._receiver.port]


def main() -> None:
    """Be a peer."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(LedgerConfig(**json.loads(sys.argv[1]))))
