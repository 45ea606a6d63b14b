"""The look into the ledger for deliveries of which no ring told, or whose ring was lost."""

import contextlib
from typing import TYPE_CHECKING

from answerback.errors import LedgerUnavailable
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import Abandon, FirstDue, LeftOver
from answerback.relay.wakeable_timer import Pace

if TYPE_CHECKING:
    from answerback.relay.dispatcher import Dispatcher

_REMAINS_EVERY_S = 60.0
_GIVEN_UP_AT_A_TIME = 1000


async def give_up(book: LedgerClient, endpoint_id: int) -> None:
    """Give up what a removed endpoint was owed, a part at a time so that callbacks get in between."""
    with contextlib.suppress(LedgerUnavailable):  # the next start goes on with it
        while await book.ask(Abandon(endpoint_id, _GIVEN_UP_AT_A_TIME)) == _GIVEN_UP_AT_A_TIME:
            pass


class Sweep:
    """Looks at the first delivery of each endpoint that is told here: one that nobody knows of will be it some day."""

    def __init__(self, book: LedgerClient, dispatcher: "Dispatcher", every_s: float) -> None:
        self._book = book
        self._dispatcher = dispatcher
        self._every_s = every_s
        self._pace = Pace()

    def hurry(self) -> None:
        """Look now."""
        self._pace.hurry()

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await self._pace.rest(self._every_s)
            with contextlib.suppress(LedgerUnavailable):
                await self._look()

    async def _look(self) -> None:
        here = self._dispatcher.here
        if here:
            for endpoint_id, (delivery_id, due_us) in (await self._book.ask(FirstDue(here))).items():
                self._dispatcher.found(endpoint_id, delivery_id, due_us)


class Remains:
    """Gives up what removed endpoints are owed, where the process that was to do it did not come to its end."""

    def __init__(self, book: LedgerClient) -> None:
        self._book = book
        self._pace = Pace()

    async def run(self) -> None:
        """Look again and again."""
        while True:
            with contextlib.suppress(LedgerUnavailable):
                for endpoint_id in await self._book.ask(LeftOver()):
                    await give_up(self._book, endpoint_id)
            await self._pace.rest(_REMAINS_EVERY_S)
