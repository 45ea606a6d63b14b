"""Telling again, in the background and a part at a time, so that callbacks and other deliveries get in between."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import StrEnum

import msgspec
import structlog

from answerback.domain.models import Endpoint
from answerback.errors import AnswerbackError, NotFound
from answerback.ledger.admin.audit import Actor, filter_text
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import CountDead, ReplayCalls, ReplayDead, ReplayOne, StartReplay
from answerback.ledger.read.calls import LARGEST_ID, CallFilter
from answerback.ledger.write.replays import Chunk
from answerback.relay.dispatcher import Dispatcher

_AT_A_TIME = 100
_KEPT = 100

DEAD, CALLS = "dead deliveries", "calls"
"""What can be told again."""

log = structlog.get_logger("answerback.relay")


class Stage(StrEnum):
    """How far a replay is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Replay(msgspec.Struct, kw_only=True):
    """A replay and its progress: of `total` deliveries or calls `examined` were looked at; `replayed` will be told again."""

    id: int
    endpoint: str
    of: str
    total: int
    examined: int = 0
    replayed: int = 0
    stage: Stage = Stage.RUNNING
    error: str | None = None
    began_at: datetime


class Replays:
    """The replays since the start; what they have marked is in the ledger, should the gateway be stopped half-way."""

    def __init__(
        self, book: LedgerClient, dispatcher: Dispatcher, count: Callable[[CallFilter], Awaitable[int]]
    ) -> None:
        self._book = book
        self._dispatcher = dispatcher
        self._count = count
        self._ids = itertools.count(1)
        self._known: dict[int, Replay] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, id_: int) -> Replay:
        """One of them. Raises NotFound."""
        if id_ not in self._known:
            raise NotFound(f"no replay {id_} since the gateway was started")
        return self._known[id_]

    async def one(self, actor: Actor, delivery_id: int) -> None:
        """Tell one delivery again. Raises NotFound, Conflict; Forbidden where its endpoint is another one now."""
        if not 0 <= delivery_id < LARGEST_ID:  # beyond it neither the message nor the ledger has such a number
            raise NotFound(f"no delivery {delivery_id}")
        self._dispatcher.look_again(await self._book.ask(ReplayOne(actor, delivery_id)))

    async def dead(self, actor: Actor, endpoint: Endpoint) -> Replay:
        """Begin to tell all dead deliveries of an endpoint again. Raises Forbidden, NotFound."""
        count, last_id = await self._book.ask(CountDead(endpoint.id))

        def step(cursor: str | None) -> Awaitable[Chunk]:
            return self._book.ask(ReplayDead(endpoint.id, cursor, last_id, _AT_A_TIME))

        await self._book.ask(StartReplay(actor, endpoint.id, (count, DEAD)))
        return self._begin(endpoint, DEAD, count, step)

    async def calls(self, actor: Actor, endpoint: Endpoint, wanted: CallFilter) -> Replay:
        """Begin to tell everything about the calls of the endpoint's channel again that match `wanted`.

        Raises Forbidden, NotFound.
        """
        actor.require_full_numbers()  # before they are counted for who may not
        mine = msgspec.structs.replace(wanted, channel=endpoint.channel)

        def step(cursor: str | None) -> Awaitable[Chunk]:
            return self._book.ask(ReplayCalls(endpoint, mine, cursor, _AT_A_TIME))

        count = await self._count(mine)
        await self._book.ask(StartReplay(actor, endpoint.id, (count, CALLS, filter_text(wanted))))
        return self._begin(endpoint, CALLS, count, step)

    def stop(self) -> None:
        """End all of them."""
        for task in self._tasks:
            task.cancel()

    def _begin(self, endpoint: Endpoint, of: str, total: int, step: Callable[[str | None], Awaitable[Chunk]]) -> Replay:
        replay = Replay(id=next(self._ids), endpoint=endpoint.name, of=of, total=total, began_at=datetime.now(UTC))
        self._known[replay.id] = replay
        self._known.pop(replay.id - _KEPT, None)
        task = asyncio.get_running_loop().create_task(self._run(replay, endpoint.id, step))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return replay

    async def _run(self, replay: Replay, endpoint_id: int, step: Callable[[str | None], Awaitable[Chunk]]) -> None:
        cursor = None
        try:
            while replay.stage is Stage.RUNNING:
                chunk = await step(cursor)
                replay.examined += chunk.examined
                replay.replayed += chunk.replayed
                self._dispatcher.look_again(endpoint_id)
                cursor = chunk.cursor
                if cursor is None:
                    replay.stage = Stage.DONE
        except AnswerbackError as error:
            replay.stage, replay.error = Stage.FAILED, str(error)
        log.info("replayed", endpoint=replay.endpoint, of=replay.of, stage=replay.stage.value, count=replay.replayed)
