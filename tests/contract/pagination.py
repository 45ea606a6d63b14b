"""Lists, page by page."""

from collections.abc import Iterator

from answerback.domain.models import StoredCallback
from answerback.ledger import Ledger


def walked(ledger: Ledger, callid: str, size: int, channel: str | None = None) -> Iterator[StoredCallback]:
    """All callbacks of a call, by pages of at most this size."""
    page = ledger.callbacks(callid, channel, limit=size)
    yield from page.items
    while page.next_cursor is not None:
        page = ledger.callbacks(callid, channel, page.next_cursor, size)
        yield from page.items
