"""Add, change, test and remove endpoints. A change has taken effect when the call returns.

In a cluster this holds for the endpoints of this process; the others are notified at once.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from secrets import token_hex
from urllib.parse import urlsplit

import msgspec
import structlog

from answerback.domain.endpoints import (
    DIRECT,
    DISABLED_MANUALLY,
    REMOVED_FROM_CONFIG,
    Endpoint,
    EndpointConfig,
    EndpointTest,
    HttpExchange,
    validate_secret,
)
from answerback.errors import (
    AnswerbackError,
    ConfigError,
    InvalidEndpoint,
    LedgerUnavailable,
    ResourceNotFound,
    StateConflict,
)
from answerback.ledger.admin.audit import CONFIG_FILE, GATEWAY, Actor, AuditAction
from answerback.ledger.admin.endpoints import EndpointDraft, changed_fields, is_retargeted, target_of
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import (
    AddEndpoint,
    ChangeEndpoint,
    ListEndpointChanges,
    ListEndpoints,
    RecordAuditEvent,
    RemoveEndpoint,
    SyncConfigEndpoints,
)
from answerback.relay.dispatcher import Dispatcher
from answerback.relay.endpoint_changes import ConfigEndpoint, disable, make_draft, merge_config, rotate_secret
from answerback.relay.sample_payload import build_sample_payload
from answerback.relay.sender import WebhookSender, resolve
from answerback.relay.signing import generate_secret

_DISABLE_RETRY_S = 1.0
_PORTS = {"http": 80, "https": 443}

log = structlog.get_logger("answerback.relay")


class EndpointManager:
    """All endpoints, and every change of them."""

    def __init__(self, ledger: LedgerClient, dispatcher: Dispatcher, sender: WebhookSender) -> None:
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._sender = sender
        self._config_secrets: set[str] = set()
        self._known: dict[str, Endpoint] = {}  # by name, and by id as digits
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._is_clustered = False
        self._revision = -1
        self._refresh_lock = asyncio.Lock()
        self.on_changed: Callable[[], None] = lambda: None
        """Called after a change, to notify other processes."""
        dispatcher.on_endpoint_gone = self._on_endpoint_gone

    async def start(self, config_endpoints: Mapping[str, ConfigEndpoint]) -> list[Endpoint]:
        """Sync the ledger's endpoints with the config file, and return all of them. Raises ConfigError, LedgerUnavailable."""
        endpoints = await self._sync(config_endpoints)
        for endpoint in endpoints:
            self._cache(endpoint)
        return endpoints

    async def reload(self, config_endpoints: Mapping[str, ConfigEndpoint], *, sync_config: bool) -> None:
        """Do the same while deliveries go out: those that changed have their new settings when it returns.

        Raises ConfigError, LedgerUnavailable: nothing was changed.
        """
        if sync_config:
            async with self._serialized():
                for endpoint in await self._sync(config_endpoints):
                    before = self._known.get(str(endpoint.id))
                    if before is None or before.updated_at != endpoint.updated_at:
                        await self._take_over(endpoint)
            self.on_changed()
        self._config_secrets = {name for name, one in config_endpoints.items() if one.secret is not None}

    async def _take_over(self, endpoint: Endpoint) -> None:
        if str(endpoint.id) in self._known:
            async with self.suspended(endpoint.id):
                self._cache(endpoint)
        else:
            self._cache(endpoint)
            if not self._is_clustered:
                self._dispatcher.add(endpoint)

    async def _sync(self, config_endpoints: Mapping[str, ConfigEndpoint]) -> list[Endpoint]:
        """Write what the config file says of endpoints into the ledger, and return all of them.

        One that is missing there is only disabled: a start in the wrong directory must not cancel deliveries.
        """
        known = {endpoint.name: endpoint for endpoint in await self._ledger.execute(ListEndpoints())}
        missing = [end for name, end in known.items() if end.from_config and name not in config_endpoints]
        changed = [disable(end, REMOVED_FROM_CONFIG) for end in missing if end.disabled_reason != REMOVED_FROM_CONFIG]
        for endpoint in changed:
            log.warning("endpoint_disabled", endpoint=endpoint.name, reason=REMOVED_FROM_CONFIG)
        added = []
        for name, one in config_endpoints.items():
            before = known.get(name)
            if before is None:
                added.append(make_draft(name, one))
            elif not before.from_config:
                raise ConfigError(
                    f"endpoints.{name}: an endpoint of that name exists already, and is not from the config file: remove it"
                )
            elif (after := merge_config(before, one)) != before:
                changed.append(after)
        self._config_secrets = {name for name, one in config_endpoints.items() if one.secret is not None}
        return await self._ledger.execute(SyncConfigEndpoints(CONFIG_FILE, changed, added))

    async def join(self, config_endpoints: Mapping[str, ConfigEndpoint], *, sync_config: bool) -> None:
        """Load the endpoints, which other processes may change too. Raises ConfigError, LedgerUnavailable.

        `sync_config`: sync them with the config file, as `start` does.
        """
        self._is_clustered = True
        if sync_config:
            await self.start(config_endpoints)
            self.on_changed()
        self._config_secrets = {name for name, one in config_endpoints.items() if one.secret is not None}
        await self.refresh()

    async def refresh(self) -> None:
        """Apply the changes of other processes; they have taken effect when it returns. Raises LedgerUnavailable."""
        if not self._is_clustered:
            return
        async with self._refresh_lock:
            changed = await self._ledger.execute(ListEndpointChanges(self._revision))
            await asyncio.gather(
                *(self._apply_remote(endpoint, exists=exists) for endpoint, exists in changed.endpoints)
            )
            self._revision = changed.revision

    async def _apply_remote(self, endpoint: Endpoint, *, exists: bool) -> None:
        async with self._locks[endpoint.id]:
            before = self._known.get(str(endpoint.id))
            if before is None and not exists:
                return
            if before is not None and exists and before.updated_at == endpoint.updated_at:
                return
            async with self._suspended(endpoint.id):
                if exists:
                    self._cache(endpoint)
                else:
                    self._uncache(endpoint)
                    self._dispatcher.remove(endpoint, cancel_deliveries=False)  # whoever removed it does

    def _serialized(self) -> AbstractAsyncContextManager[None]:
        """Keep our changes apart from those that are applied from other processes."""
        return self._refresh_lock if self._is_clustered else nullcontext()

    def assign(self, endpoints: Iterable[Endpoint]) -> None:
        """Deliver to these endpoints from now on."""
        for endpoint in endpoints:
            self._dispatcher.close(endpoint.id)  # its old queue is stale
            self._cache(endpoint)
            self._dispatcher.add(endpoint)

    @asynccontextmanager
    async def suspended(self, endpoint_id: int, reason: str = "the endpoint was changed") -> AsyncIterator[None]:
        """Suspend an endpoint: nothing is in flight inside; afterwards it resumes with its present settings."""
        async with self._locks[endpoint_id], self._suspended(endpoint_id, reason):
            yield

    @asynccontextmanager
    async def _suspended(self, endpoint_id: int, reason: str = "the endpoint was changed") -> AsyncIterator[None]:
        if self._dispatcher.queue_for(endpoint_id) is not None:
            await self._dispatcher.suspend(endpoint_id, reason)
        try:
            yield
        finally:
            if endpoint := self._known.get(str(endpoint_id)):
                self._dispatcher.resume(endpoint)

    def find(self, name: str) -> Endpoint:
        """Return an endpoint by name, or by id as digits. Raises ResourceNotFound."""
        if name not in self._known:
            raise ResourceNotFound(f"no endpoint {name}")
        return self._known[name]

    async def find_current(self, name: str) -> Endpoint:
        """Do what `find` does, after the changes of other processes. Raises ResourceNotFound, LedgerUnavailable."""
        await self.refresh()
        return self.find(name)

    def _cache(self, endpoint: Endpoint) -> None:
        self._known[endpoint.name] = self._known[str(endpoint.id)] = endpoint
        if self._is_clustered and self._dispatcher.queue_for(endpoint.id) is None:
            self._dispatcher.saturated.add(endpoint.id)

    def _uncache(self, endpoint: Endpoint) -> None:
        del self._known[str(endpoint.id)]
        if self._known[endpoint.name].id == endpoint.id:  # else a new one has that name
            del self._known[endpoint.name]

    async def add(
        self,
        actor: Actor,
        name: str | None,
        channel: str,
        config: EndpointConfig,
        *,
        enabled: bool = True,
        secret: str | None = None,
    ) -> Endpoint:
        """Add an endpoint. Raises PermissionDenied, InvalidEndpoint, and StateConflict where the name is taken."""
        actor.require_full_numbers()  # before anything is looked up for an actor who may not
        self._validate(config, secret)
        await self._validate_addresses(config)
        draft = EndpointDraft(
            name=name or f"endpoint-{token_hex(4)}",
            channel=channel,
            config=config,
            secret=secret or generate_secret(),
            enabled=enabled,
        )
        endpoint = await self._ledger.execute(AddEndpoint(actor, draft))
        self._cache(endpoint)
        if not self._is_clustered:
            self._dispatcher.add(endpoint)
        self.on_changed()
        log.info("endpoint_added", endpoint=endpoint.name, channel=channel)
        return endpoint

    async def change(self, actor: Actor, name: str, channel: str | None, config: EndpointConfig | None) -> Endpoint:
        """Change an endpoint's settings, or move it to another channel.

        Raises ResourceNotFound, InvalidEndpoint, StateConflict; PermissionDenied where numbers would go to another URL, and the actor may not see them.
        """
        endpoint = await self.find_current(name)
        if endpoint.from_config:
            raise StateConflict(f"endpoint {endpoint.name} is defined in the config file: change it there")
        after = msgspec.structs.replace(endpoint, channel=channel or endpoint.channel, config=config or endpoint.config)
        if is_retargeted(changed_fields(endpoint, after)):
            actor.require_full_numbers()
        if config is not None:
            self._validate(config, None)
            await self._validate_addresses(config)
        return await self._change(actor, endpoint, channel=after.channel, config=after.config)

    async def set_enabled(self, actor: Actor, name: str, *, enabled: bool, reason: str | None = None) -> Endpoint:
        """Enable or disable an endpoint; its deliveries wait while it is disabled. Raises ResourceNotFound, StateConflict."""
        endpoint = await self.find_current(name)
        return await self._change(
            actor, endpoint, enabled=enabled, disabled_reason=None if enabled else reason or DISABLED_MANUALLY
        )

    async def rotate_secret(self, actor: Actor, name: str, secret: str | None = None) -> Endpoint:
        """Rotate an endpoint's secret; the previous one signs as well for 24 hours. Raises ResourceNotFound, InvalidEndpoint, StateConflict."""
        endpoint = await self.find_current(name)
        if endpoint.name in self._config_secrets:
            raise StateConflict(f"the secret of endpoint {endpoint.name} is in the config file: change it there")
        if secret is not None and (problem := validate_secret(secret)):
            raise InvalidEndpoint("secret", problem)
        after = rotate_secret(endpoint, secret or generate_secret())
        return await self._change(
            actor,
            endpoint,
            secret=after.secret,
            previous_secret=after.previous_secret,
            previous_secret_expires_at=after.previous_secret_expires_at,
        )

    async def remove(self, actor: Actor, name: str) -> None:
        """Remove an endpoint; its pending deliveries are cancelled, and stay visible. Raises ResourceNotFound, StateConflict."""
        endpoint = await self.find_current(name)
        if endpoint.from_config and endpoint.disabled_reason != REMOVED_FROM_CONFIG:
            raise StateConflict(f"endpoint {endpoint.name} is defined in the config file: remove it there first")
        async with self._serialized(), self.suspended(endpoint.id):
            await self._ledger.execute(RemoveEndpoint(actor, endpoint.id))
            self._uncache(endpoint)
            self._dispatcher.remove(endpoint)
        self.on_changed()
        log.info("endpoint_removed", endpoint=endpoint.name)

    async def test(self, actor: Actor, name: str) -> EndpointTest:
        """Send a sample callback to an endpoint, even if it is disabled or paused. Raises ResourceNotFound."""
        endpoint, now = await self.find_current(name), datetime.now(UTC)
        await self._ledger.execute(RecordAuditEvent(actor, AuditAction.ENDPOINT_TESTED, target_of(endpoint)))
        body = build_sample_payload(endpoint.config.format, endpoint.channel, now)
        exchange = HttpExchange(url=endpoint.config.url, request_body=body)
        result = await self._sender.send(endpoint, f"test_{token_hex(12)}", body, exchange=exchange)
        return EndpointTest(result=result, exchange=exchange)

    async def _change(self, actor: Actor, endpoint: Endpoint, **changes: object) -> Endpoint:
        """Suspend the endpoint, write the change, and resume: nothing goes out by the old settings afterwards."""
        async with self._serialized(), self.suspended(endpoint.id):
            after = msgspec.structs.replace(self.find(str(endpoint.id)), **changes)
            changed = await self._ledger.execute(ChangeEndpoint(actor, after, if_unmodified=self._is_clustered))
            self._cache(changed)
        self.on_changed()
        log.info("endpoint_changed", endpoint=endpoint.name, fields=sorted(changes))
        return changed

    async def _on_endpoint_gone(self, endpoint: Endpoint, reason: str) -> None:
        """Disable it as soon as the ledger takes that; nothing goes out to it until then, unless it is changed meanwhile."""
        log.error("endpoint_returned_410", endpoint=endpoint.name, reason=reason)
        while (queue := self._dispatcher.queue_for(endpoint.id)) is not None and queue.endpoint == endpoint:
            try:
                await self.set_enabled(GATEWAY, endpoint.name, enabled=False, reason=reason)
            except LedgerUnavailable as error:
                log.warning("endpoint_not_disabled_yet", endpoint=endpoint.name, error=str(error))
                await queue.suspend("the endpoint answered 410")
                await asyncio.sleep(_DISABLE_RETRY_S)
            except AnswerbackError:
                self._dispatcher.resume(endpoint)  # it will answer 410 again
                raise

    def _validate(self, config: EndpointConfig, secret: str | None) -> None:
        """Reject at once what could only fail later. Raises InvalidEndpoint that names the field."""
        if secret is not None and (problem := validate_secret(secret)):
            raise InvalidEndpoint("secret", problem)
        if config.certificate is not None and config.certificate not in self._sender.certificates:
            raise InvalidEndpoint("certificate", f"there is no certificate {config.certificate} in the config file")

    async def _validate_addresses(self, config: EndpointConfig) -> None:
        """Reject an address that the egress policy denies; a name that does not resolve yet may do so later."""
        proxy = None if config.proxy == DIRECT else config.proxy
        for field, url in (("url", config.url), ("proxy", proxy)):
            parts = urlsplit(url or "")
            for address in await resolve(parts.hostname, parts.port or _PORTS[parts.scheme]) if parts.hostname else ():
                if problem := self._sender.egress_policy.denial_reason(address):
                    raise InvalidEndpoint(field, problem)
