"""Which endpoints this process tells: those that it has a lease of, as long as it has, and its fair share of all.

A lease is counted here from before it was asked for, so it ends here before it does in the ledger. Some time before that
nothing is begun any more, and then what is under way is cut short: no two processes ever tell one endpoint at a time.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.ledger.admin.leases import Claimed
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import Claim, Release
from answerback.relay.dispatcher import Dispatcher
from answerback.relay.endpoint_manager import Registry
from answerback.relay.singleton_tasks import Duties
from answerback.relay.wakeable_timer import Pace, clock_s

_BEGIN_UNTIL = 0.8
"""Of a lease's time: in what is left, attempts may come to their end."""

_CUT_AT = 0.9
_AGAIN_S = 0.5
_FAREWELL_S = 1.0
_US = 1_000_000

log = structlog.get_logger("answerback.relay")


class Tenure:
    """Claims leases and renews them. `on_taken` is called when some are new, `on_released` when others may take some."""

    def __init__(
        self,
        book: LedgerClient,
        dispatcher: Dispatcher,
        registry: Registry,
        duties: Duties,
        *,
        member: str,
        ttl_s: float,
        renew_s: float,
        on_taken: Callable[[], None],
        on_released: Callable[[], None],
    ) -> None:
        self._book = book
        self._dispatcher = dispatcher
        self._registry = registry
        self._duties = duties
        self._member = member
        self._ttl_s = ttl_s
        self._renew_s = renew_s
        self._on_taken = on_taken
        self._on_released = on_released
        self._pace = Pace()
        self._ends: asyncio.TimerHandle | None = None
        self._giving_back: dict[int, asyncio.Task[None]] = {}

    def hurry(self) -> None:
        """Claim now: something may have become free."""
        self._pace.hurry()

    async def run(self) -> None:
        """Claim again and again."""
        failing = False
        while True:
            try:
                await self._claim()
                failing = False
            except LedgerUnavailable as error:
                if not failing:
                    log.warning("leases_not_renewed", reason=str(error), detail=error.detail)
                failing = True
            await self._pace.rest(_AGAIN_S if failing else self._renew_s)

    async def stop(self) -> None:
        """Give all back; what was under way must have come to its end before."""
        if self._ends is not None:
            self._ends.cancel()
        for task in self._giving_back.values():
            task.cancel()
        with contextlib.suppress(LedgerUnavailable, TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                if await self._book.ask(Release(self._member, None)):
                    self._on_released()

    async def _claim(self) -> None:
        """Renew what is held and take what is free. Raises LedgerUnavailable."""
        asked_s, here = clock_s(), self._dispatcher.here
        claimed = await self._book.ask(Claim(self._member, here, self._duties.names, round(self._ttl_s * _US)))
        late_s = clock_s() - asked_s
        if late_s >= self._ttl_s * _BEGIN_UNTIL:
            self._lapse()
            raise LedgerUnavailable(
                UnavailableReason.BUSY, f"it took {late_s:.1f} s, which is too long to hold a lease"
            )
        self._count_from(asked_s, late_s)
        self._follow(claimed)

    def _count_from(self, asked_s: float, late_s: float) -> None:
        """From now on attempts may begin until this renewal's time is over too."""
        self._dispatcher.until_s = asked_s + self._ttl_s * _BEGIN_UNTIL
        if self._ends is not None:
            self._ends.cancel()
        self._ends = asyncio.get_running_loop().call_later(self._ttl_s * _CUT_AT - late_s, self._lapse)

    def _lapse(self) -> None:
        """The time is over and nothing was renewed: end all that only the holder of a lease may do."""
        if self._dispatcher.here:
            log.error("leases_lapsed", endpoints=len(self._dispatcher.here))
        self._dispatcher.until_s = 0.0
        for endpoint_id in self._dispatcher.here:
            self._dispatcher.forget(endpoint_id)
        self._duties.have(())
        self._pace.hurry()

    def _follow(self, claimed: Claimed) -> None:
        """Open and close lanes so that they are those that were claimed."""
        held = {*claimed.kept, *(endpoint.id for endpoint in claimed.taken)}
        for endpoint_id in self._dispatcher.here:
            if endpoint_id not in held:  # it was removed, or has lapsed and is another's
                self._dispatcher.forget(endpoint_id)
        self._registry.open(claimed.taken)
        self._duties.have(claimed.duties)
        for endpoint_id in claimed.kept:
            if self._dispatcher.lane(endpoint_id) is None:
                self._pace.hurry()  # it lapsed while this was asked: it counts as taken the next time
            elif endpoint_id not in self._giving_back and endpoint_id in claimed.excess:
                self._begin(endpoint_id, self._give_back(endpoint_id))
        if claimed.taken:
            self._on_taken()
            log.info("endpoints_taken", endpoints=len(claimed.taken), held=len(held))

    def _begin(self, endpoint_id: int, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._giving_back[endpoint_id] = task
        task.add_done_callback(lambda _: self._giving_back.pop(endpoint_id, None))

    async def _give_back(self, endpoint_id: int) -> None:
        """Let another process have an endpoint, when nothing of it is under way and all that was is written down."""
        lane = self._dispatcher.lane(endpoint_id)
        async with self._registry.holding(endpoint_id, "another process takes it over"):
            written = await self._dispatcher.written(endpoint_id, self._ttl_s)
            if not written or self._dispatcher.lane(endpoint_id) is not lane:  # it lapsed meanwhile: it is a new one
                return
            try:
                await self._book.ask(Release(self._member, [endpoint_id]))
                self._on_released()
            except LedgerUnavailable as error:  # it may have been done: the next claim shows that
                log.warning("lease_not_given_back", reason=str(error))
            finally:
                self._dispatcher.forget(endpoint_id)
