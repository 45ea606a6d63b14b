"""The relay as the rest of the gateway sees it: started and stopped as one."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from answerback.errors import Conflict
from answerback.ledger import Job
from answerback.ledger.query import CallFilter
from answerback.ledger.references import Reference, Referred
from answerback.ledger.requests import Refer
from answerback.relay.book import Book
from answerback.relay.courier import Courier
from answerback.relay.deciding import Terms
from answerback.relay.dispatcher import Dispatcher
from answerback.relay.guard import Network
from answerback.relay.meter import RelayMeter
from answerback.relay.overdue import Overdue
from answerback.relay.registry import Registry, Wanted
from answerback.relay.replays import Replays


class Relay:
    """Tells the business. Make it inside the loop; until `start` nothing goes out."""

    def __init__(
        self,
        book: Book,
        terms: Terms,
        *,
        allow_networks: Sequence[Network],
        default_channel: str | None,
        count: Callable[[CallFilter], Awaitable[int]],
        pressed: Callable[[], bool],
    ) -> None:
        self._book = book
        self._default_channel = default_channel
        self._courier = Courier(allow_networks)
        self.meter = RelayMeter()
        self._dispatcher = Dispatcher(book, self._courier, self.meter, terms, pressed)
        self._overdue = Overdue(book, self._dispatcher)
        self._registry = Registry(book, self._dispatcher, self._courier)
        self._replays = Replays(book, self._dispatcher, count)
        self._telling: asyncio.Task[None] | None = None

    @property
    def endpoints(self) -> Registry:
        """The endpoints. Raises Conflict where another gateway relays for this ledger."""
        self._require_active()
        return self._registry

    @property
    def replays(self) -> Replays:
        """Telling again. Raises Conflict where another gateway relays for this ledger."""
        self._require_active()
        return self._replays

    @property
    def active(self) -> bool:
        """Whether this gateway tells the business."""
        return self._telling is not None

    async def start(self, wanted: Mapping[str, Wanted]) -> None:
        """Begin; `wanted` are the endpoints of the config file. Raises ConfigError, LedgerUnavailable."""
        await self._dispatcher.start(await self._registry.start(wanted))
        self._telling = asyncio.get_running_loop().create_task(self._overdue.run())

    async def stop(self, timeout_s: float) -> None:
        """End: attempts under way get `timeout_s`."""
        if self._telling is not None:
            self._telling.cancel()
            self._replays.stop()
            await self._dispatcher.stop(timeout_s)
        await self._courier.close()

    def owed(self, jobs: Sequence[Job], behind: Sequence[int]) -> None:
        """Take what a commit let go out: jobs, and the endpoints to whom there is more."""
        if self.active:
            self._dispatcher.owed(jobs, behind)

    @property
    def full(self) -> Collection[int]:
        """The endpoints for which `owed` has no room, kept up to date."""
        return self._dispatcher.full

    async def refer(self, callid: str, channel: str | None, said: Reference) -> Referred:
        """Keep what the business says of a call; the next delivery carries it. Raises AmbiguousCall, NotFound."""
        referred = await self._book.ask(Refer(channel, self._default_channel, callid, said))
        if self.active:
            self._dispatcher.read_again(referred.call.channel, referred.call_id)
            self._dispatcher.owed(referred.jobs)
            if referred.call.due_at is not None:
                self._overdue.expect(referred.call.due_at)
        return referred

    def _require_active(self) -> None:
        if not self.active:
            raise Conflict("another gateway on this data directory tells the business: ask that one")
