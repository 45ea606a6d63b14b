"""Replay deliveries in the background, a page at a time, so that callbacks and other deliveries get in between."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import StrEnum

import msgspec
import structlog

from answerback.domain.endpoints import Endpoint
from answerback.errors import AnswerbackError, ResourceNotFound
from answerback.ledger.admin.audit import Actor, filter_text
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import CountDead, ReplayCalls, ReplayDead, ReplayDelivery, StartReplay
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.read.paging import MAX_ID
from answerback.ledger.write.replays import ReplayPage
from answerback.relay.dispatcher import Dispatcher

_PAGE_SIZE = 100
_MAX_REMEMBERED = 100

DEAD, CALLS = "dead deliveries", "calls"
"""What a replay can cover."""

log = structlog.get_logger("answerback.relay")


class ReplayStatus(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Replay(msgspec.Struct, kw_only=True):
    """A replay and its progress: of `total` deliveries or calls `examined` were read; `replayed` deliveries go out again."""

    id: int
    endpoint: str
    scope: str
    total: int
    examined: int = 0
    replayed: int = 0
    status: ReplayStatus = ReplayStatus.RUNNING
    error: str | None = None
    started_at: datetime


class ReplayManager:
    """The replays since the start. What they have moved is in the ledger, even if the gateway stops half-way."""

    def __init__(
        self, ledger: LedgerClient, dispatcher: Dispatcher, count: Callable[[CallFilter], Awaitable[int]]
    ) -> None:
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._count = count
        self._ids = itertools.count(1)
        self._replays: dict[int, Replay] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, id_: int) -> Replay:
        """Return a replay by its id. Raises ResourceNotFound."""
        if id_ not in self._replays:
            raise ResourceNotFound(f"no replay {id_} since the gateway was started")
        return self._replays[id_]

    async def replay_delivery(self, actor: Actor, delivery_id: int) -> None:
        """Replay one delivery. Raises ResourceNotFound, StateConflict; PermissionDenied where its endpoint has changed."""
        if not 0 <= delivery_id < MAX_ID:  # neither the message nor the ledger has a larger id
            raise ResourceNotFound(f"no delivery {delivery_id}")
        self._dispatcher.refill(await self._ledger.execute(ReplayDelivery(actor, delivery_id)))

    async def replay_dead(self, actor: Actor, endpoint: Endpoint) -> Replay:
        """Start to replay all dead deliveries of an endpoint. Raises PermissionDenied, ResourceNotFound."""
        count, last_id = await self._ledger.execute(CountDead(endpoint.id))

        def step(cursor: str | None) -> Awaitable[ReplayPage]:
            return self._ledger.execute(ReplayDead(endpoint.id, cursor, last_id, _PAGE_SIZE))

        await self._ledger.execute(StartReplay(actor, endpoint.id, (count, DEAD)))
        return self._start(endpoint, DEAD, count, step)

    async def replay_calls(self, actor: Actor, endpoint: Endpoint, call_filter: CallFilter) -> Replay:
        """Start to replay every event of the calls of the endpoint's channel that match `call_filter`.

        Raises PermissionDenied, ResourceNotFound.
        """
        actor.require_full_numbers()  # before they are counted for an actor who may not
        mine = msgspec.structs.replace(call_filter, channel=endpoint.channel)

        def step(cursor: str | None) -> Awaitable[ReplayPage]:
            return self._ledger.execute(ReplayCalls(endpoint, mine, cursor, _PAGE_SIZE))

        count = await self._count(mine)
        await self._ledger.execute(StartReplay(actor, endpoint.id, (count, CALLS, filter_text(call_filter))))
        return self._start(endpoint, CALLS, count, step)

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _start(
        self, endpoint: Endpoint, scope: str, total: int, step: Callable[[str | None], Awaitable[ReplayPage]]
    ) -> Replay:
        replay = Replay(
            id=next(self._ids), endpoint=endpoint.name, scope=scope, total=total, started_at=datetime.now(UTC)
        )
        self._replays[replay.id] = replay
        self._replays.pop(replay.id - _MAX_REMEMBERED, None)
        task = asyncio.get_running_loop().create_task(self._run(replay, endpoint.id, step))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return replay

    async def _run(self, replay: Replay, endpoint_id: int, step: Callable[[str | None], Awaitable[ReplayPage]]) -> None:
        cursor = None
        try:
            while replay.status is ReplayStatus.RUNNING:
                chunk = await step(cursor)
                replay.examined += chunk.examined
                replay.replayed += chunk.replayed
                self._dispatcher.refill(endpoint_id)
                cursor = chunk.cursor
                if cursor is None:
                    replay.status = ReplayStatus.DONE
        except AnswerbackError as error:
            replay.status, replay.error = ReplayStatus.FAILED, str(error)
        log.info(
            "replay_finished",
            endpoint=replay.endpoint,
            scope=replay.scope,
            status=replay.status.value,
            count=replay.replayed,
        )
