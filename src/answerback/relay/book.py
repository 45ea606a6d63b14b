"""The relay's way to the ledger."""

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from answerback.ledger.requests import Request

T = TypeVar("T")


class Book(Protocol):
    """What the relay needs of the ledger's writer."""

    def ask(self, request: Request[T]) -> Awaitable[T]:
        """Have a request carried out, after those before it. Raises LedgerUnavailable, and the request's own errors."""
