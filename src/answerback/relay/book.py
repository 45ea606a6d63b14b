"""The relay's way to the ledger."""

import contextlib
from collections.abc import Awaitable
from typing import Protocol, TypeVar

from answerback.errors import LedgerUnavailable
from answerback.ledger.requests import Abandon, Request

T = TypeVar("T")

_GIVEN_UP_AT_A_TIME = 1000


class Book(Protocol):
    """What the relay needs of the ledger's writer."""

    def ask(self, request: Request[T]) -> Awaitable[T]:
        """Have a request carried out, after those before it. Raises LedgerUnavailable, and the request's own errors."""


async def give_up(book: Book, endpoint_id: int) -> None:
    """Give up what a removed endpoint was owed, a part at a time so that callbacks get in between."""
    with contextlib.suppress(LedgerUnavailable):  # the next start goes on with it
        while await book.ask(Abandon(endpoint_id, _GIVEN_UP_AT_A_TIME)) == _GIVEN_UP_AT_A_TIME:
            pass
