"""One erasure, from the first row to the last: killed at any point, it is run again from its beginning.

What was erased already is not found any more, so nothing is done or counted twice.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from sqlalchemy.engine import Connection

from answerback.domain.number_finder import NumberFinder
from answerback.inbox.erasure import compact_inbox, count_inbox, erase_inbox
from answerback.ledger import Ledger, LedgerConfig
from answerback.ledger.backends.driver_errors import translate_driver_errors
from answerback.ledger.backends.sqlite.engine import compact
from answerback.ledger.write.erasure_targets import TARGETS, ErasureTarget, Key, erase_rows, find_page, last_key
from answerback.ledger.write.erasures import Erasure, count_erased, find_erasure, finish_erasure, forget_number
from answerback.ledger.write.subscriptions import SubscriptionCache

_ROWS_PER_PAGE = 500
INBOX = "inbox"
"""What the callbacks in the inbox are counted under."""

OnStep = Callable[[], None]


class ErasureJob(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is to do: which erasure of which ledger, and the inbox of this machine, where there is one.

    `number` is None once it is forgotten: then only the files are to be written anew. With `is_unreadable` it is none that could be done.
    """

    ledger_config: LedgerConfig
    inbox: str | None
    erasure_id: int
    number: str | None
    is_unreadable: bool = False


def erase(
    ledger: Ledger, inbox: Path | None, erasure_id: int, number: str | None, on_step: OnStep = lambda: None
) -> Erasure:
    """Erase `number` from everything that was there when it was asked for; `on_step` is called now and then.

    Raises LedgerUnavailable: run it again.
    """
    if number is not None:
        finder = NumberFinder(number)
        if inbox is not None and inbox.exists():
            erased = erase_inbox(inbox, finder.blank_body, on_step)
            ledger.write(lambda c, _: count_erased(c, erasure_id, {INBOX: erased}))
        for target in TARGETS:
            for keys in _pages(ledger, target, finder, on_step):
                _erase_page(ledger, target, finder, keys, erasure_id)
        ledger.write(lambda c, _: forget_number(c, erasure_id, finder, datetime.now(UTC)), idempotent=True)
    if ledger.file_ids is not None:
        with translate_driver_errors(ledger.engine):
            compact(ledger.engine)
    if inbox is not None and inbox.exists():
        compact_inbox(inbox)
    ledger.write(lambda c, _: finish_erasure(c, erasure_id, datetime.now(UTC)), idempotent=True)
    return ledger.read(find_erasure, erasure_id)


def count_rows(ledger: Ledger, inbox: Path | None, number: str, on_step: OnStep = lambda: None) -> dict[str, int]:
    """How many rows hold `number`, by table; those that hold none are left out."""
    finder = NumberFinder(number)
    counts = {INBOX: count_inbox(inbox, finder.blank_body) if inbox is not None and inbox.exists() else 0}
    for target in TARGETS:
        counts[target.name] = sum(len(keys) for keys in _pages(ledger, target, finder, on_step))
    return {name: rows for name, rows in counts.items() if rows}


def _pages(ledger: Ledger, target: ErasureTarget, finder: NumberFinder, on_step: OnStep) -> Iterator[list[Key]]:
    """The keys of the rows that hold the number, a page at a time, each looked through in a short transaction of its own."""
    upto = ledger.read(last_key, target)
    after: Key | None = None
    while upto is not None:
        on_step()
        keys, after = _read_page(ledger, target, finder, after, upto)
        if keys:
            yield keys
        if after is None:
            return


def _read_page(
    ledger: Ledger, target: ErasureTarget, finder: NumberFinder, after: Key | None, upto: Key
) -> tuple[list[Key], Key | None]:
    return ledger.read(find_page, target, finder, after, upto, _ROWS_PER_PAGE)


def _erase_page(ledger: Ledger, target: ErasureTarget, finder: NumberFinder, keys: list[Key], erasure_id: int) -> None:
    def work(connection: Connection, _: SubscriptionCache) -> None:
        counts = erase_rows(connection, target, finder, keys, datetime.now(UTC))
        count_erased(connection, erasure_id, counts)

    ledger.write(work)
