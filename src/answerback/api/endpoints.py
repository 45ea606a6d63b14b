"""/v1/endpoints: who is told."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from answerback.api.dependencies import CONFLICT, FORBIDDEN, INVALID, NOT_FOUND, OPERATOR, PROBLEMS, CurrentPrincipal
from answerback.api.routes import Routes
from answerback.config import EndpointSettings, validate_endpoint_name
from answerback.domain.endpoints import Endpoint, EndpointConfig
from answerback.errors import InvalidEndpoint
from answerback.ledger import Ledger
from answerback.ledger.read.deliveries import DeliveryBacklog
from answerback.relay import Relay
from answerback.schemas.endpoints import EndpointTestView, EndpointView, EndpointWithSecretView
from answerback.schemas.view import PageView

_PREFIX = "/v1/endpoints"
_SWITCHES = ("enabled", "notify_on_update")
_CHANGEABLE = {name for name in EndpointSettings.model_fields if name != "secret"}


class _StrictBody(EndpointSettings):
    """The fields as JSON has them: the config file and the environment may spell a number or a switch as text."""

    @field_validator("enabled", "notify_on_update", "timeout_s", "concurrency", mode="before")
    @classmethod
    def _check_type(cls, value: object, field: ValidationInfo) -> object:
        if not isinstance(value, (bool, int, float)) or isinstance(value, bool) != (field.field_name in _SWITCHES):
            raise ValueError(f"expected {'true or false' if field.field_name in _SWITCHES else 'a number'}")
        return value


class EndpointCreate(_StrictBody):
    """An endpoint that is to be."""

    name: str | None = Field(None, description="made up where it is not given", examples=["crm"])


class SecretRotate(BaseModel):
    """A secret that somebody brings along."""

    model_config = ConfigDict(extra="forbid")

    secret: str | None = Field(None, description="whsec_ and 24 to 64 bytes in base64; made where it is not given")


def _change_schema() -> dict[str, Any]:
    """What may be changed, as OpenAPI says it: the fields of an endpoint, none of them needed, none with a default."""
    whole = _StrictBody.model_json_schema(ref_template="#/components/schemas/{model}")
    fields = {name: dict(field) for name, field in whole["properties"].items() if name in _CHANGEABLE}
    for field in fields.values():
        field.pop("default", None)
    return {"type": "object", "title": "EndpointChange", "properties": fields, "additionalProperties": False}


_CHANGES = {"requestBody": {"required": True, "content": {"application/json": {"schema": _change_schema()}}}}


def build_routes(ledger: Ledger, relay: Relay, channels: Sequence[str]) -> Routes:
    """The routes below /v1/endpoints; `{endpoint}` is a name or an id."""
    reading = Routes("endpoints", prefix=_PREFIX)
    changing = Routes("endpoints", prefix=_PREFIX, dependencies=[OPERATOR], responses=FORBIDDEN)
    _add_read_routes(reading, ledger)
    _add_write_routes(changing, ledger, relay, channels)
    _add_action_routes(changing, ledger, relay)
    reading.registered += changing.registered
    return reading


def _add_read_routes(router: Routes, ledger: Ledger) -> None:
    @router.get("", summary="All endpoints, by name, with what they are owed", responses=PROBLEMS)
    def list_endpoints(principal: CurrentPrincipal) -> PageView[EndpointView]:
        backlogs, full_url = ledger.backlog(), principal.full_urls
        views = [
            EndpointView.of(one, backlogs.get(one.id, DeliveryBacklog()), full_url=full_url)
            for one in ledger.endpoints()
        ]
        return PageView(items=views)

    @router.get("/{endpoint}", summary="One endpoint", responses=PROBLEMS | NOT_FOUND)
    def get_endpoint(endpoint: str, principal: CurrentPrincipal) -> EndpointView:
        found = ledger.endpoint(endpoint)
        return EndpointView.of(found, ledger.backlog().get(found.id, DeliveryBacklog()), full_url=principal.full_urls)


def _add_write_routes(router: Routes, ledger: Ledger, relay: Relay, channels: Sequence[str]) -> None:
    def check_channel(channel: str) -> None:
        if channel not in channels:
            raise InvalidEndpoint("channel", f"there is no channel {channel}")

    @router.post(
        "",
        status_code=201,
        summary="Add an endpoint; the answer is the only one that shows its secret",
        responses=PROBLEMS | CONFLICT | INVALID,
    )
    async def add_endpoint(body: EndpointCreate, principal: CurrentPrincipal) -> EndpointWithSecretView:
        if body.name is not None and (problem := validate_endpoint_name(body.name)):
            raise InvalidEndpoint("name", problem)
        check_channel(body.channel)
        secret = body.secret.get_secret_value() if body.secret is not None else None
        added = await relay.endpoints.add(
            principal.actor, body.name, body.channel, body.endpoint_config(), enabled=body.enabled, secret=secret
        )
        return EndpointWithSecretView.with_secret(added, DeliveryBacklog())

    @router.patch(
        "/{endpoint}",
        summary="Change some fields; when this is answered nothing goes by the old ones any more",
        responses=PROBLEMS | NOT_FOUND | CONFLICT | INVALID,
        openapi_extra=_CHANGES,
    )
    async def change_endpoint(
        endpoint: str, body: Annotated[dict[str, Any], Body()], principal: CurrentPrincipal
    ) -> EndpointView:
        await relay.endpoints.refresh()
        known = relay.endpoints.find(endpoint)
        wanted = _merge(known.config, known.channel, enabled=known.enabled, changes=body)
        check_channel(wanted.channel)
        changed = known
        if wanted.channel != known.channel or wanted.endpoint_config() != known.config:
            changed = await relay.endpoints.change(principal.actor, endpoint, wanted.channel, wanted.endpoint_config())
        if wanted.enabled != known.enabled:
            changed = await relay.endpoints.set_enabled(principal.actor, endpoint, enabled=wanted.enabled)
        return EndpointView.of(changed, await _backlog_of(ledger, changed), full_url=True)

    @router.delete(
        "/{endpoint}",
        status_code=204,
        summary="Remove it: it is owed nothing",
        responses=PROBLEMS | NOT_FOUND | CONFLICT,
    )
    async def remove_endpoint(endpoint: str, principal: CurrentPrincipal) -> None:
        await relay.endpoints.remove(principal.actor, endpoint)


def _add_action_routes(router: Routes, ledger: Ledger, relay: Relay) -> None:
    @router.post("/{endpoint}/enable", summary="Switch it on", responses=PROBLEMS | NOT_FOUND | CONFLICT)
    async def enable_endpoint(endpoint: str, principal: CurrentPrincipal) -> EndpointView:
        switched = await relay.endpoints.set_enabled(principal.actor, endpoint, enabled=True)
        return EndpointView.of(switched, await _backlog_of(ledger, switched), full_url=True)

    @router.post(
        "/{endpoint}/disable",
        summary="Switch it off: what it is owed waits",
        responses=PROBLEMS | NOT_FOUND | CONFLICT,
    )
    async def disable_endpoint(endpoint: str, principal: CurrentPrincipal) -> EndpointView:
        switched = await relay.endpoints.set_enabled(principal.actor, endpoint, enabled=False)
        return EndpointView.of(switched, await _backlog_of(ledger, switched), full_url=True)

    @router.post(
        "/{endpoint}/rotate-secret",
        summary="Give it a new secret; for 24 hours both sign",
        responses=PROBLEMS | NOT_FOUND | CONFLICT | INVALID,
    )
    async def rotate_secret(
        endpoint: str, principal: CurrentPrincipal, body: SecretRotate | None = None
    ) -> EndpointWithSecretView:
        rotated = await relay.endpoints.rotate_secret(principal.actor, endpoint, body.secret if body else None)
        return EndpointWithSecretView.with_secret(rotated, await _backlog_of(ledger, rotated))

    @router.post(
        "/{endpoint}/test",
        summary="Send it a callback about nobody's call, and tell what it answered",
        responses=PROBLEMS | NOT_FOUND | CONFLICT,
    )
    async def test_endpoint(endpoint: str, principal: CurrentPrincipal) -> EndpointTestView:
        return EndpointTestView.of(
            await relay.endpoints.test(principal.actor, endpoint), full_numbers=principal.full_numbers
        )


async def _backlog_of(ledger: Ledger, endpoint: Endpoint) -> DeliveryBacklog:
    """What it is owed; reading blocks, so not in the event loop."""
    return (await asyncio.to_thread(ledger.backlog)).get(endpoint.id, DeliveryBacklog())


def _merge(config: EndpointConfig, channel: str, *, enabled: bool, changes: dict[str, Any]) -> EndpointSettings:
    """The endpoint as it is, with `changes`. Raises InvalidEndpoint that names the field."""
    if unknown := sorted(changes.keys() - _CHANGEABLE):
        known = ", ".join(sorted(_CHANGEABLE))
        remedy = "POST …/rotate-secret changes it" if unknown[0] == "secret" else f"expected some of {known}"
        raise InvalidEndpoint(unknown[0], f"cannot be changed so: {remedy}")
    now = {name: getattr(config, name) for name in EndpointConfig.__struct_fields__}
    try:
        return _StrictBody(**now | {"channel": channel, "enabled": enabled} | changes)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidEndpoint(field, str(first["msg"]).removeprefix("Value error, ")) from error
