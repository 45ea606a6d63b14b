"""The relay as one of many on a ledger: what it claims, what it hears of the others, and what it tells them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from answerback.errors import LedgerUnavailable
from answerback.ledger.backends.postgresql.notifier import Ring
from answerback.ledger.client import LedgerClient
from answerback.ledger.types import from_us, to_us
from answerback.ledger.write.annotations import Referred
from answerback.relay.dispatcher import Dispatcher
from answerback.relay.endpoint_manager import Registry
from answerback.relay.lease_holder import Tenure
from answerback.relay.overdue_watcher import Overdue
from answerback.relay.singleton_tasks import Duties
from answerback.relay.sweepers import Remains, Sweep
from answerback.relay.wakeable_timer import Pace

_OVERDUE_LOOK_S = 30.0
"""So late at most a call is told to be overdue, should the ring that told of its time be lost."""

log = structlog.get_logger("answerback.relay")


@dataclass(frozen=True, kw_only=True)
class Share:
    """This process among the others: its member id, its way to ring, and how leases are held.

    `duties` are works of other parts that one process of all is to do, each for as long as it has the lease. A lease lasts
    `ttl_s` and is renewed every `renew_s`; every `look_s` the endpoints are looked at for changes, and every `sweep_s` the
    ledger for deliveries, should a ring be lost.
    """

    member: str
    ring: Callable[[Ring], None] = lambda _: None
    duties: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    ttl_s: float = 15.0
    renew_s: float = 4.0
    look_s: float = 1.0
    sweep_s: float = 5.0


class Sharing:
    """Runs from `start` to `stop`; without `start` the process only tells others of what is theirs."""

    def __init__(
        self, book: LedgerClient, dispatcher: Dispatcher, registry: Registry, overdue: Overdue, share: Share
    ) -> None:
        self._dispatcher = dispatcher
        self._registry = registry
        self._overdue = overdue
        self._share = share
        overdue.longest_sleep_s = _OVERDUE_LOOK_S
        self._duties = Duties({"overdue": overdue.run, "remains": Remains(book).run, **share.duties})
        self._sweep = Sweep(book, dispatcher, share.sweep_s)
        self._tenure = Tenure(
            book,
            dispatcher,
            registry,
            self._duties,
            member=share.member,
            ttl_s=share.ttl_s,
            renew_s=share.renew_s,
            on_taken=self._sweep.hurry,
            on_released=lambda: share.ring(Ring(free=True)),
        )
        self._looking = Pace()
        self._tasks: list[asyncio.Task[None]] = []
        dispatcher.share(share.member)
        dispatcher.on_away = self._away
        registry.on_changed = self._changed

    def watch(self) -> None:
        """Begin to learn of changes that other processes make."""
        self._begin(self._look_on())

    def claim(self) -> None:
        """Begin to tell endpoints."""
        self._begin(self._tenure.run())
        self._begin(self._sweep.run())
        self._share.ring(Ring(free=True))  # the others give back what is above their share now

    async def end_duties(self) -> None:
        """Begin nothing new, and end what only one process may do."""
        for task in self._tasks:
            task.cancel()
        await self._duties.stop()

    async def give_back(self) -> None:
        """Let the others have what was held here, when nothing of it is under way any more."""
        await self._tenure.stop()

    def heard(self, ring: Ring) -> None:
        """Act on what another process rang for."""
        if ring.changed:
            self._looking.hurry()
        if ring.free:
            self._tenure.hurry()
        if ring.all:
            self._sweep.hurry()
        for endpoint_id in ring.owed:
            if self._dispatcher.lane(endpoint_id) is not None:
                self._dispatcher.look_again(endpoint_id)
        for channel, call_id in ring.referred:
            self._dispatcher.read_again(channel, call_id)
        if ring.due_us is not None:
            self._overdue.expect(from_us(ring.due_us))

    def referred(self, said: Referred) -> None:
        """Tell the others of what the business said of a call."""
        due_us = None if said.call.due_at is None else to_us(said.call.due_at)
        self._share.ring(Ring(referred=((said.call.channel, said.call_id),), due_us=due_us))

    @property
    def duties(self) -> list[str]:
        """Those that this process has."""
        return self._duties.held

    def _away(self, endpoint_ids: Collection[int]) -> None:
        self._share.ring(Ring(owed=tuple(endpoint_ids)))

    def _changed(self) -> None:
        self._tenure.hurry()
        self._share.ring(Ring(changed=True, free=True))

    async def _look_on(self) -> None:
        while True:
            await self._looking.rest(self._share.look_s)
            with contextlib.suppress(LedgerUnavailable):
                await self._registry.refresh()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(_report)
        self._tasks.append(task)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("relay_task_failed", exc_info=error)
