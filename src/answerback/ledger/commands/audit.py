"""What people have and did: keys, audit events, alerts."""

from sqlalchemy.engine import Connection

from answerback.domain.models import ApiKey
from answerback.ledger.admin import api_keys, sessions
from answerback.ledger.admin.alerts import Alert, delete_stale_alerts, save_alerts
from answerback.ledger.admin.api_keys import KeyDraft
from answerback.ledger.admin.audit import Actor, AuditAction, record_event
from answerback.ledger.commands.command import Command, now
from answerback.ledger.ledger import Ledger
from answerback.ledger.write.subscriptions import SubscriptionCache


class CreateKey(Command[ApiKey], frozen=True):
    actor: Actor
    draft: KeyDraft

    def run(self, ledger: Ledger) -> ApiKey:
        return ledger.write(lambda c, _: api_keys.add(c, self.draft, self.actor, now()))


class RevokeKey(Command[ApiKey], frozen=True):
    """Revoke an API key, by name or id."""

    actor: Actor
    name: str

    def run(self, ledger: Ledger) -> ApiKey:
        return ledger.write(lambda c, _: api_keys.revoke(c, self.name, self.actor, now()))


class EndSession(Command[None], frozen=True):
    """End a session of the console, which would have lasted until `expires_us`."""

    session: str
    expires_us: int

    def run(self, ledger: Ledger) -> None:
        ledger.write(lambda c, _: sessions.end(c, self.session, self.expires_us, now()), shared=True, idempotent=True)


class UseSignInLink(Command[bool], frozen=True):
    """Use up a sign-in link, which would have opened until `expires_us`; False where it was used before."""

    actor: Actor
    link: str
    expires_us: int

    def run(self, ledger: Ledger) -> bool:
        def work(connection: Connection, _: SubscriptionCache) -> bool:
            is_first = sessions.use_link(connection, self.link, self.expires_us, now())
            if is_first:
                record_event(connection, self.actor, AuditAction.SIGN_IN_LINK_USED, now(), "to the console")
            return is_first

        return ledger.write(work, shared=True)


class RecordAuditEvent(Command[None], frozen=True):
    """Keep that somebody does what changes nothing in the ledger; it is done once this is answered."""

    actor: Actor
    action: AuditAction
    target: tuple[str | int, ...]

    def run(self, ledger: Ledger) -> None:
        ledger.write(lambda c, _: record_event(c, self.actor, self.action, now(), *self.target), shared=True)


class SaveAlerts(Command[None], frozen=True):
    """Keep alerts as they are now, and forget those of all but these rules."""

    changed: list[Alert]
    rules: list[str]

    def run(self, ledger: Ledger) -> None:
        def work(connection: Connection, _: SubscriptionCache) -> None:
            save_alerts(connection, self.changed)
            delete_stale_alerts(connection, self.rules)

        ledger.write(work)
