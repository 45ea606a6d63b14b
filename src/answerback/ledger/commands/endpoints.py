"""Endpoints: read, made, changed, removed."""

from datetime import datetime

import msgspec
from sqlalchemy.engine import Connection

from answerback.domain.endpoints import Endpoint, PayloadFormat
from answerback.errors import StateConflict
from answerback.ledger.admin import endpoints
from answerback.ledger.admin.audit import Actor
from answerback.ledger.admin.endpoints import EndpointDraft
from answerback.ledger.commands.command import Command, now
from answerback.ledger.ledger import Ledger
from answerback.ledger.write import attempts
from answerback.ledger.write.subscriptions import SubscriptionCache


class ListEndpoints(Command[list[Endpoint]], frozen=True):
    """All endpoints that were not removed."""

    def run(self, ledger: Ledger) -> list[Endpoint]:
        return ledger.write(lambda c, _: endpoints.find_endpoints(c), shared=True, idempotent=True)


class EndpointChanges(msgspec.Struct, frozen=True, array_like=True):
    """The endpoints that were changed, each with whether it is still there; and the revision up to which that holds."""

    revision: int
    endpoints: list[tuple[Endpoint, bool]]


class ListEndpointChanges(Command[EndpointChanges], frozen=True):
    """The endpoints that were changed after a revision, by whichever process."""

    revision: int

    def run(self, ledger: Ledger) -> EndpointChanges:
        def work(connection: Connection) -> EndpointChanges:
            revision = endpoints.revision(connection)
            if revision == self.revision:
                return EndpointChanges(revision, [])
            return EndpointChanges(revision, endpoints.changed_since(connection, self.revision))

        return ledger.read(work)


class SyncConfigEndpoints(Command[list[Endpoint]], frozen=True):
    """Change and add endpoints, all or none; all there are then."""

    actor: Actor
    changed: list[Endpoint]
    added: list[EndpointDraft]

    def run(self, ledger: Ledger) -> list[Endpoint]:
        def work(connection: Connection, _: SubscriptionCache) -> list[Endpoint]:
            moment = now()
            for endpoint in self.changed:
                _change(connection, endpoint, self.actor, moment)
            taken = {endpoint.name for endpoint in endpoints.find_endpoints(connection)}
            if added := [draft for draft in self.added if draft.name not in taken]:  # another process may be first
                endpoints.add_all(connection, added, self.actor, moment)
            return endpoints.find_endpoints(connection)

        return ledger.write(work)


class AddEndpoint(Command[Endpoint], frozen=True):
    actor: Actor
    draft: EndpointDraft

    def run(self, ledger: Ledger) -> Endpoint:
        return ledger.write(lambda c, _: endpoints.add(c, self.draft, self.actor, now()))


class ChangeEndpoint(Command[Endpoint], frozen=True):
    """Bring the endpoint of that id up to this; `if_unmodified`: only as long as nobody else has changed it since."""

    actor: Actor
    endpoint: Endpoint
    if_unmodified: bool = False

    def run(self, ledger: Ledger) -> Endpoint:
        def work(connection: Connection, _: SubscriptionCache) -> Endpoint:
            if self.if_unmodified and not endpoints.is_unmodified(connection, self.endpoint):
                raise StateConflict(
                    f"endpoint {self.endpoint.name} was changed at the same time: check it and try again"
                )
            return _change(connection, self.endpoint, self.actor, now())

        return ledger.write(work)


class RemoveEndpoint(Command[None], frozen=True):
    actor: Actor
    endpoint_id: int

    def run(self, ledger: Ledger) -> None:
        ledger.write(lambda c, _: endpoints.remove(c, self.endpoint_id, self.actor, now()))


def _change(connection: Connection, endpoint: Endpoint, actor: Actor, now: datetime) -> Endpoint:
    """Change an endpoint; with the vendor's format, deliveries about a call itself, which it has no payload for, are cancelled."""
    if endpoint.config.format is PayloadFormat.TENCENT:
        attempts.cancel_call_events(connection, endpoint.id, now)
    return endpoints.change(connection, endpoint, actor, now)
