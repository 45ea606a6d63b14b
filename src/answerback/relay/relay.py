"""The relay as the rest of the gateway sees it: started and stopped as one."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import structlog

from answerback.errors import AnswerbackError, Conflict, LedgerUnavailable, UnavailableReason
from answerback.ledger import Job
from answerback.ledger.backends.postgresql.notifier import Ring
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import Refer
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.write.annotations import Reference, Referred
from answerback.relay.certificates import Certificates
from answerback.relay.coordinator import Share, Sharing
from answerback.relay.dispatcher import Dispatcher
from answerback.relay.egress_policy import Network
from answerback.relay.endpoint_manager import Registry, Wanted
from answerback.relay.metrics import RelayMeter
from answerback.relay.overdue_watcher import Overdue
from answerback.relay.replays import Replays
from answerback.relay.retry_policy import Terms
from answerback.relay.sender import Courier
from answerback.tracing import Tracer

_JOIN_AGAIN_S = 2.0

log = structlog.get_logger("answerback.relay")


class Relay:
    """Tells the business. Make it inside the loop; until `start` nothing goes out."""

    def __init__(
        self,
        book: LedgerClient,
        terms: Terms,
        *,
        allow_networks: Sequence[Network],
        default_channel: str | None,
        count: Callable[[CallFilter], Awaitable[int]],
        pressed: Callable[[], bool],
        certificates: Certificates | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._book = book
        self._default_channel = default_channel
        self._courier = Courier(allow_networks, certificates)
        self.meter = RelayMeter()
        self._dispatcher = Dispatcher(book, self._courier, self.meter, terms, pressed, tracer)
        self._overdue = Overdue(book, self._dispatcher)
        self._registry = Registry(book, self._dispatcher, self._courier)
        self._replays = Replays(book, self._dispatcher, count)
        self._telling: asyncio.Task[None] | None = None
        self._sharing: Sharing | None = None
        self._joining: asyncio.Task[None] | None = None
        self._joined = self._claims = False

    @property
    def endpoints(self) -> Registry:
        """The endpoints. Raises Conflict where another gateway alone relays for this ledger."""
        self._require_managing()
        return self._registry

    @property
    def replays(self) -> Replays:
        """Telling again. Raises Conflict where another gateway alone relays for this ledger."""
        self._require_managing()
        return self._replays

    @property
    def active(self) -> bool:
        """Whether this gateway tells the business."""
        return self._telling is not None or (self._joined and self._claims)

    @property
    def manages(self) -> bool:
        """Whether endpoints can be changed here, and told again."""
        return self._telling is not None or self._joined

    @property
    def state(self) -> dict[str, object]:
        """What the heartbeat says of it: how many endpoints it tells, whether alone, which are paused, its duties."""
        alone = self._telling is not None
        return {
            "alone": alone,
            "endpoints": len(self._dispatcher.here) if self.active else 0,
            "paused": dict(self.meter.paused),
            "duties": self._sharing.duties if self._sharing else ["overdue"] * alone,
        }

    async def start(self, wanted: Mapping[str, Wanted]) -> None:
        """Begin to tell all endpoints; `wanted` are those of the config file. Raises ConfigError, LedgerUnavailable."""
        await self._dispatcher.start(await self._registry.start(wanted))
        self._telling = asyncio.get_running_loop().create_task(self._overdue.run())

    async def join(self, share: Share, wanted: Mapping[str, Wanted], *, claims: bool) -> None:
        """Begin among other processes; one that `claims` tells its share of the endpoints, and aligns those of the file.

        Where the ledger is away it goes on trying. Raises ConfigError.
        """
        self._claims = claims
        self._sharing = sharing = Sharing(self._book, self._dispatcher, self._registry, self._overdue, share)
        try:
            await self._join(sharing, wanted)
        except LedgerUnavailable as error:
            log.warning("not_relaying", reason=str(error), detail=error.detail)
            self._joining = asyncio.get_running_loop().create_task(self._join_later(sharing, wanted))

    async def _join(self, sharing: Sharing, wanted: Mapping[str, Wanted]) -> None:
        await self._registry.join(wanted, align=self._claims)
        self._joined = True
        sharing.watch()
        if self._claims:
            sharing.claim()

    async def _join_later(self, sharing: Sharing, wanted: Mapping[str, Wanted]) -> None:
        told = ""
        while not self._joined:
            await asyncio.sleep(_JOIN_AGAIN_S)
            try:
                await self._join(sharing, wanted)
            except AnswerbackError as error:
                if str(error) != told:
                    log.error("not_relaying", reason=str(error))  # noqa: TRY400  # the words are enough
                told = str(error)

    def heard(self, ring: Ring) -> None:
        """Act on what another process rang for."""
        if self._sharing is not None and self._joined:
            self._sharing.heard(ring)

    async def stop(self, timeout_s: float) -> None:
        """End: attempts under way get `timeout_s`."""
        for task in (self._telling, self._joining):
            if task is not None:
                task.cancel()
        if self._sharing is not None:
            await self._sharing.end_duties()
        if self.manages:
            self._replays.stop()
            await self._dispatcher.stop(timeout_s)
        if self._sharing is not None and self._claims:
            await self._sharing.give_back()
        await self._courier.close()

    def owed(self, jobs: Sequence[Job], behind: Sequence[int]) -> None:
        """Take what a commit let go out: jobs, and the endpoints to whom there is more."""
        if self.manages:
            self._dispatcher.owed(jobs, behind)

    @property
    def full(self) -> Collection[int]:
        """The endpoints for which `owed` has no room, kept up to date."""
        return self._dispatcher.full

    async def refer(self, callid: str, channel: str | None, said: Reference) -> Referred:
        """Keep what the business says of a call; the next delivery carries it. Raises AmbiguousCall, NotFound."""
        referred = await self._book.ask(Refer(channel, self._default_channel, callid, said))
        if self._sharing is not None:
            self._sharing.referred(referred)
        if self.manages:
            self._dispatcher.read_again(referred.call.channel, referred.call_id)
            self._dispatcher.owed(referred.jobs)
            if referred.call.due_at is not None:
                self._overdue.expect(referred.call.due_at)
        return referred

    def _require_managing(self) -> None:
        if self._sharing is not None and not self._joined:
            raise LedgerUnavailable(UnavailableReason.ENDPOINTS_UNREAD)
        if not self.manages:
            raise Conflict("another gateway on this data directory tells the business: ask that one")
