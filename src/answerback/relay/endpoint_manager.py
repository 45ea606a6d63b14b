"""The endpoints: made, changed, tried and removed. A change has taken effect when it is answered.

Where several processes share the endpoints, that is so for those that are told here; the others learn of it at once.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from urllib.parse import urlsplit

import msgspec
import structlog

from answerback.domain.models import NOT_IN_CONFIG, OFF_BY_HAND, OFF_IN_CONFIG, Definition, Endpoint
from answerback.errors import AnswerbackError, ConfigError, Conflict, NotFound, UnfitEndpoint
from answerback.ledger.admin.audit import CONFIG_FILE, GATEWAY, Actor, AuditAction
from answerback.ledger.admin.endpoints import Draft, changed_fields, is_retargeted, target_of
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import (
    AddEndpoint,
    Align,
    ChangeEndpoint,
    Endpoints,
    EndpointsSince,
    RecordAuditEvent,
    RemoveEndpoint,
)
from answerback.relay.dispatcher import Dispatcher
from answerback.relay.sample_payload import sample_body
from answerback.relay.sender import Courier, Outcome, addresses_of
from answerback.relay.signing import new_secret, unfit_secret

BOTH_SIGN_FOR = timedelta(hours=24)
_PORTS = {"http": 80, "https": 443}

log = structlog.get_logger("answerback.relay")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as the config file wants it; without `secret` it gets one of its own."""

    channel: str
    definition: Definition
    enabled: bool
    secret: str | None


class Registry:
    """All endpoints."""

    def __init__(self, book: LedgerClient, dispatcher: Dispatcher, courier: Courier) -> None:
        self._book = book
        self._dispatcher = dispatcher
        self._courier = courier
        self._fixed_secrets: set[str] = set()
        self._known: dict[str, Endpoint] = {}  # by name, and by id as digits
        self._changing: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._shared = False
        self._revision = -1
        self._refreshing = asyncio.Lock()
        self.on_changed: Callable[[], None] = lambda: None
        """Called after a change, where other processes are to learn of it."""
        dispatcher.on_gone = self._gone

    async def start(self, wanted: Mapping[str, Wanted]) -> list[Endpoint]:
        """Bring the ledger's endpoints in line with the config file; all of them. Raises ConfigError.

        One that is missing there is only switched off: a start in the wrong directory must cost nothing that is owed.
        """
        known = {endpoint.name: endpoint for endpoint in await self._book.ask(Endpoints())}
        missing = [end for name, end in known.items() if end.from_config and name not in wanted]
        changed = [_off(end, NOT_IN_CONFIG) for end in missing if end.disabled_reason != NOT_IN_CONFIG]
        for endpoint in changed:
            log.warning("endpoint_switched_off", endpoint=endpoint.name, reason=NOT_IN_CONFIG)
        added = []
        for name, one in wanted.items():
            try:
                self._check(one.definition, one.secret)
            except UnfitEndpoint as error:
                raise ConfigError(f"endpoints.{name}.{error}") from error
            before = known.get(name)
            if before is None:
                added.append(_draft(name, one))
            elif not before.from_config:
                raise ConfigError(
                    f"endpoints.{name}: there is one of that name that the config file did not make: remove it"
                )
            elif (after := _in_line(before, one)) != before:
                changed.append(after)
        self._fixed_secrets = {name for name, one in wanted.items() if one.secret is not None}
        endpoints = await self._book.ask(Align(CONFIG_FILE, changed, added))
        for endpoint in endpoints:
            self._keep(endpoint)
        return endpoints

    async def join(self, wanted: Mapping[str, Wanted], *, align: bool) -> None:
        """Know the endpoints, which other processes may change too. Raises ConfigError, LedgerUnavailable.

        `align`: bring them in line with the config file, as `start` does.
        """
        self._shared = True
        if align:
            await self.start(wanted)
            self.on_changed()
        self._fixed_secrets = {name for name, one in wanted.items() if one.secret is not None}
        await self.refresh()

    async def refresh(self) -> None:
        """Learn what other processes have changed; it has taken effect here then. Raises LedgerUnavailable."""
        if not self._shared:
            return
        async with self._refreshing:
            changed = await self._book.ask(EndpointsSince(self._revision))
            await asyncio.gather(*(self._learn(endpoint, there=there) for endpoint, there in changed.endpoints))
            self._revision = changed.revision

    async def _learn(self, endpoint: Endpoint, *, there: bool) -> None:
        async with self._changing[endpoint.id]:
            before = self._known.get(str(endpoint.id))
            if before is None and not there:
                return
            if before is not None and there and before.changed_at == endpoint.changed_at:
                return
            async with self._held(endpoint.id):
                if there:
                    self._keep(endpoint)
                else:
                    self._forget(endpoint)
                    self._dispatcher.drop(endpoint, give_up_owed=False)  # who removed it does

    def _in_turn(self) -> AbstractAsyncContextManager[None]:
        """No change is made between what is learned of others and the moment at which it counts here."""
        return self._refreshing if self._shared else nullcontext()

    def open(self, endpoints: Iterable[Endpoint]) -> None:
        """From now on these are told here."""
        for endpoint in endpoints:
            self._dispatcher.forget(endpoint.id)  # what it has of before does not hold any more
            self._keep(endpoint)
            self._dispatcher.add(endpoint)

    @asynccontextmanager
    async def holding(self, endpoint_id: int, reason: str = "the endpoint was changed") -> AsyncIterator[None]:
        """Nothing of an endpoint is under way here; after that it goes on as it is then."""
        async with self._changing[endpoint_id], self._held(endpoint_id, reason):
            yield

    @asynccontextmanager
    async def _held(self, endpoint_id: int, reason: str = "the endpoint was changed") -> AsyncIterator[None]:
        if self._dispatcher.lane(endpoint_id) is not None:
            await self._dispatcher.hold(endpoint_id, reason)
        try:
            yield
        finally:
            if endpoint := self._known.get(str(endpoint_id)):
                self._dispatcher.go_on(endpoint)

    def find(self, name: str) -> Endpoint:
        """One by its name, or by its id as digits. Raises NotFound."""
        if name not in self._known:
            raise NotFound(f"no endpoint {name}")
        return self._known[name]

    def _keep(self, endpoint: Endpoint) -> None:
        self._known[endpoint.name] = self._known[str(endpoint.id)] = endpoint
        if self._shared and self._dispatcher.lane(endpoint.id) is None:
            self._dispatcher.full.add(endpoint.id)

    def _forget(self, endpoint: Endpoint) -> None:
        del self._known[str(endpoint.id)]
        if self._known[endpoint.name].id == endpoint.id:  # else there is a new one of that name
            del self._known[endpoint.name]

    async def add(
        self,
        actor: Actor,
        name: str | None,
        channel: str,
        definition: Definition,
        *,
        enabled: bool = True,
        secret: str | None = None,
    ) -> Endpoint:
        """Add an endpoint. Raises Forbidden, UnfitEndpoint, and Conflict where the name is taken."""
        actor.require_full_numbers()  # before anything is looked up for who may not
        self._check(definition, secret)
        await self._check_address(definition.url)
        draft = Draft(
            name=name or f"endpoint-{token_hex(4)}",
            channel=channel,
            definition=definition,
            secret=secret or new_secret(),
            enabled=enabled,
        )
        endpoint = await self._book.ask(AddEndpoint(actor, draft))
        self._keep(endpoint)
        if not self._shared:
            self._dispatcher.add(endpoint)
        self.on_changed()
        log.info("endpoint_added", endpoint=endpoint.name, channel=channel)
        return endpoint

    async def change(self, actor: Actor, name: str, channel: str | None, definition: Definition | None) -> Endpoint:
        """Give an endpoint another definition, or move it to another channel.

        Raises NotFound, UnfitEndpoint, Conflict; Forbidden where numbers would go elsewhere, and the actor may not see them.
        """
        await self.refresh()
        endpoint = self.find(name)
        if endpoint.from_config:
            raise Conflict(f"endpoint {endpoint.name} is made by the config file: change it there")
        after = msgspec.structs.replace(
            endpoint, channel=channel or endpoint.channel, definition=definition or endpoint.definition
        )
        if is_retargeted(changed_fields(endpoint, after)):
            actor.require_full_numbers()
        if definition is not None:
            self._check(definition, None)
            await self._check_address(definition.url)
        return await self._change(actor, endpoint, channel=after.channel, definition=after.definition)

    async def switch(self, actor: Actor, name: str, *, on: bool, reason: str | None = None) -> Endpoint:
        """Switch an endpoint on or off; what it is owed waits while it is off. Raises NotFound, Conflict."""
        await self.refresh()
        endpoint = self.find(name)
        return await self._change(actor, endpoint, enabled=on, disabled_reason=None if on else reason or OFF_BY_HAND)

    async def rotate_secret(self, actor: Actor, name: str, secret: str | None = None) -> Endpoint:
        """Give an endpoint a new secret; the old one signs as well for 24 hours. Raises NotFound, UnfitEndpoint, Conflict."""
        await self.refresh()
        endpoint = self.find(name)
        if endpoint.name in self._fixed_secrets:
            raise Conflict(f"the secret of endpoint {endpoint.name} is in the config file: change it there")
        if secret is not None and (problem := unfit_secret(secret)):
            raise UnfitEndpoint("secret", problem)
        after = _with_secret(endpoint, secret or new_secret())
        return await self._change(
            actor, endpoint, secret=after.secret, old_secret=after.old_secret, old_secret_until=after.old_secret_until
        )

    async def remove(self, actor: Actor, name: str) -> None:
        """Remove an endpoint; what it was owed is given up, and stays to be seen. Raises NotFound, Conflict."""
        await self.refresh()
        endpoint = self.find(name)
        if endpoint.from_config and endpoint.disabled_reason != NOT_IN_CONFIG:
            raise Conflict(f"endpoint {endpoint.name} is made by the config file: remove it there first")
        async with self._in_turn(), self.holding(endpoint.id):
            await self._book.ask(RemoveEndpoint(actor, endpoint.id))
            self._forget(endpoint)
            self._dispatcher.drop(endpoint)
        self.on_changed()
        log.info("endpoint_removed", endpoint=endpoint.name)

    async def test(self, actor: Actor, name: str) -> Outcome:
        """Send an endpoint a callback about nobody's call, on or off, paused or not. Raises NotFound."""
        await self.refresh()
        endpoint, now = self.find(name), datetime.now(UTC)
        await self._book.ask(RecordAuditEvent(actor, AuditAction.ENDPOINT_TESTED, target_of(endpoint)))
        body = sample_body(endpoint.definition.format, endpoint.channel, now)
        return await self._courier.attempt(endpoint, f"test_{token_hex(12)}", body)

    async def _change(self, actor: Actor, endpoint: Endpoint, **changes: object) -> Endpoint:
        """Hold the endpoint's deliveries, write the change, and go on: nothing goes by the old one any more."""
        async with self._in_turn(), self.holding(endpoint.id):
            after = msgspec.structs.replace(self.find(str(endpoint.id)), **changes)
            changed = await self._book.ask(ChangeEndpoint(actor, after, unchanged=self._shared))
            self._keep(changed)
        self.on_changed()
        log.info("endpoint_changed", endpoint=endpoint.name, fields=sorted(changes))
        return changed

    async def _gone(self, endpoint: Endpoint, reason: str) -> None:
        log.error("endpoint_gone", endpoint=endpoint.name, reason=reason)
        try:
            await self.switch(GATEWAY, endpoint.name, on=False, reason=reason)
        except AnswerbackError:
            self._dispatcher.go_on(endpoint)  # it will say so once more
            raise

    def _check(self, definition: Definition, secret: str | None) -> None:
        """Refuse at once what could only fail later. Raises UnfitEndpoint that names the field."""
        if secret is not None and (problem := unfit_secret(secret)):
            raise UnfitEndpoint("secret", problem)
        if definition.certificate is not None and definition.certificate not in self._courier.certificates:
            raise UnfitEndpoint("certificate", f"there is no certificate {definition.certificate} in the config file")

    async def _check_address(self, url: str) -> None:
        """Refuse an address that could never be connected to; a name that means nothing yet may mean something later."""
        parts = urlsplit(url)
        for address in await addresses_of(parts.hostname or "", parts.port or _PORTS[parts.scheme]):
            if problem := self._courier.guard.refusal(address):
                raise UnfitEndpoint("url", problem)


def _draft(name: str, wanted: Wanted) -> Draft:
    return Draft(
        name=name,
        channel=wanted.channel,
        definition=wanted.definition,
        secret=wanted.secret or new_secret(),
        enabled=wanted.enabled,
        disabled_reason=None if wanted.enabled else OFF_IN_CONFIG,
        from_config=True,
    )


def _in_line(known: Endpoint, wanted: Wanted) -> Endpoint:
    """`known` as the config file wants it; one that was switched off otherwise stays off until it is changed there."""
    after = msgspec.structs.replace(known, channel=wanted.channel, definition=wanted.definition)
    if wanted.secret is not None and wanted.secret != known.secret:
        after = _with_secret(after, wanted.secret)
    if not wanted.enabled:
        return _off(after, OFF_IN_CONFIG)
    if after.definition != known.definition or known.disabled_reason in (OFF_IN_CONFIG, NOT_IN_CONFIG):
        return msgspec.structs.replace(after, enabled=True, disabled_reason=None)
    return after


def _off(endpoint: Endpoint, reason: str) -> Endpoint:
    return msgspec.structs.replace(endpoint, enabled=False, disabled_reason=reason)


def _with_secret(endpoint: Endpoint, secret: str) -> Endpoint:
    until = datetime.now(UTC) + BOTH_SIGN_FOR
    return msgspec.structs.replace(endpoint, secret=secret, old_secret=endpoint.secret, old_secret_until=until)
