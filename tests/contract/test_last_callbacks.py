"""The last callbacks of a call, on every backend."""

import msgspec
from builders import UUID1, key_press, received, status

from answerback.domain.models import StoredCallback
from answerback.ledger import Ledger
from answerback.ledger.read.callbacks import find_last_callbacks
from answerback.ledger.read.calls import find_call


def last(ledger: Ledger, limit: int) -> tuple[list[StoredCallback], int]:
    """The last callbacks of a call."""
    return ledger.read(lambda c: find_last_callbacks(c, find_call(c, UUID1, None)[0], limit))


def every(ledger: Ledger) -> list[StoredCallback]:
    """All callbacks of the call, without what only the API needs."""
    return [msgspec.structs.replace(entry, public_id=None) for entry in ledger.callbacks(UUID1).items]


def test_few_are_all_there(ledger: Ledger) -> None:
    """In order of arrival, with nothing before them, and nothing of other calls."""
    ledger.record([received(status()), received(status(callid="other")), received(key_press(), after_s=1)])
    entries, earlier = last(ledger, 10)
    assert (entries, earlier) == (every(ledger), 0)
    assert len(entries) == 2


def test_of_many_the_last_are_shown(ledger: Ledger) -> None:
    """And how many came before; a call that somebody floods stays a page."""
    ledger.record([received(key_press(key=str(number)), after_s=number) for number in range(25)])
    entries, earlier = last(ledger, 10)
    assert entries == every(ledger)[15:]
    assert earlier == 15
