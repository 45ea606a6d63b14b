"""Whether everything is well now: the store, the endpoints, what waits, the quarantine, the alerts."""

from collections.abc import Mapping
from typing import NamedTuple

from answerback.console.dependencies import Given
from answerback.domain.models import Endpoint
from answerback.ledger.read.deliveries import Owed

_MOST_COUNTED = 100
_MANY_WAIT = 1_000
_NOTHING = Owed()
_TONES = ("good", "warn", "bad")


class Sign(NamedTuple):
    """One thing that is well or not. `word` names its text, with `amount` after it; `tone` is good, warn or bad."""

    word: str
    tone: str
    amount: str
    section: str


def signs(given: Given) -> list[Sign]:
    """Look at everything. Blocks for as long as the ledger does. Raises LedgerUnavailable."""
    ledger = given.ledger
    refused = ledger.quarantined(None, None, _MOST_COUNTED)
    kept = f"{len(refused.items)}{'+' if refused.next_cursor else ''}"
    firing = sum(alert.firing for alert in given.alerts.states())
    return [
        _store(given.committer.failure),
        *_relay(ledger.endpoints(), ledger.owed()),
        Sign("well_quarantine", "warn" if refused.items else "good", kept, "quarantine"),
        Sign("well_alerts", "bad" if firing else "good", str(firing), "settings#alerts"),
    ]


def worst(found: list[Sign]) -> str:
    """The tone of all together."""
    return max((sign.tone for sign in found), key=_TONES.index)


def _store(failure: str | None) -> Sign:
    return (
        Sign("well_store", "good", "", "settings") if failure is None else Sign("well_no_store", "bad", "", "settings")
    )


def _relay(endpoints: list[Endpoint], owed: Mapping[int, Owed]) -> list[Sign]:
    if not endpoints:
        return [Sign("well_no_endpoints", "good", "", "endpoints")]
    failing = sum(endpoint.enabled and endpoint.paused_until is not None for endpoint in endpoints)
    left = sum(not endpoint.enabled and owed.get(endpoint.id, _NOTHING).pending > 0 for endpoint in endpoints)
    well = f"{len(endpoints) - failing - left}/{len(endpoints)}"
    waiting = sum(each.pending + each.waiting for each in owed.values())
    dead = sum(each.dead for each in owed.values())
    found = [
        Sign("well_endpoints", "bad" if failing else "warn" if left else "good", well, "endpoints"),
        Sign("well_waiting", "warn" if waiting > _MANY_WAIT else "good", f"{waiting:,}", "endpoints"),
    ]
    return [*found, Sign("well_dead", "warn", f"{dead:,}", "endpoints")] if dead else found
