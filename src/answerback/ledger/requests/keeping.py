"""What people have and did: keys, deeds, alerts."""

from typing import Any, ClassVar

from sqlalchemy.engine import Connection

from answerback.ledger import keys, outbox
from answerback.ledger.alerts import Alert, forget_alerts, keep_alerts
from answerback.ledger.keys import KeyDraft
from answerback.ledger.requests.request import Request, now
from answerback.ledger.store import Ledger
from answerback.model import ApiKey


class CreateKey(Request[ApiKey], frozen=True, array_like=True, tag=True):
    """Add an API key, and note who did."""

    answer: ClassVar[Any] = ApiKey
    draft: KeyDraft
    who: str

    def run(self, ledger: Ledger) -> ApiKey:
        """Carry it out."""
        return ledger.write(lambda c, _: keys.add(c, self.draft, self.who, now()))


class RevokeKey(Request[ApiKey], frozen=True, array_like=True, tag=True):
    """Revoke an API key, by name or id, and note who did."""

    answer: ClassVar[Any] = ApiKey
    name: str
    who: str

    def run(self, ledger: Ledger) -> ApiKey:
        """Carry it out."""
        return ledger.write(lambda c, _: keys.revoke(c, self.name, self.who, now()))


class Note(Request[None], frozen=True, array_like=True, tag=True):
    """Keep what somebody did that is to be accounted for."""

    who: str
    deed: str
    about: str

    def run(self, ledger: Ledger) -> None:
        """Carry it out."""
        ledger.write(lambda c, _: keys.note(c, self.who, self.deed, self.about, now()), beside=True)


class KeepAlerts(Request[None], frozen=True, array_like=True, tag=True):
    """Keep alerts as they are now, and forget those of all but these rules."""

    changed: list[Alert]
    rules: list[str]

    def run(self, ledger: Ledger) -> None:
        """Carry it out."""

        def work(connection: Connection, _: outbox.Outbox) -> None:
            keep_alerts(connection, self.changed)
            forget_alerts(connection, self.rules)

        ledger.write(work)
