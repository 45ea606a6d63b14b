"""/v1/endpoints: who is told."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from answerback.api.dependencies import CONFLICT, FORBIDDEN, NOT_FOUND, OPERATOR, PROBLEMS, UNFIT, Asking
from answerback.api.routes import Routes
from answerback.config import EndpointSettings, unfit_endpoint_name
from answerback.domain.models import Definition, Endpoint
from answerback.errors import UnfitEndpoint
from answerback.ledger import Ledger
from answerback.ledger.read.deliveries import Owed
from answerback.relay import Relay
from answerback.schemas.calls import EndpointView, EndpointWithSecretView, Listing, TestView

_PREFIX = "/v1/endpoints"
_SWITCHES = ("enabled", "updates")
_CHANGEABLE = {name for name in EndpointSettings.model_fields if name != "secret"}


class _Given(EndpointSettings):
    """The fields as JSON has them: the config file and the environment may spell a number or a switch as text."""

    @field_validator("enabled", "updates", "timeout_s", "concurrency", mode="before")
    @classmethod
    def _check_type(cls, value: object, field: ValidationInfo) -> object:
        if not isinstance(value, (bool, int, float)) or isinstance(value, bool) != (field.field_name in _SWITCHES):
            raise ValueError(f"expected {'true or false' if field.field_name in _SWITCHES else 'a number'}")
        return value


class NewEndpoint(_Given):
    """An endpoint that is to be."""

    name: str | None = Field(None, description="made up where it is not given", examples=["crm"])


class NewSecret(BaseModel):
    """A secret that somebody brings along."""

    model_config = ConfigDict(extra="forbid")

    secret: str | None = Field(None, description="whsec_ and 24 to 64 bytes in base64; made where it is not given")


def _change_schema() -> dict[str, Any]:
    """What may be changed, as OpenAPI says it: the fields of an endpoint, none of them needed, none with a default."""
    whole = _Given.model_json_schema(ref_template="#/components/schemas/{model}")
    fields = {name: dict(field) for name, field in whole["properties"].items() if name in _CHANGEABLE}
    for field in fields.values():
        field.pop("default", None)
    return {"type": "object", "title": "EndpointChange", "properties": fields, "additionalProperties": False}


_CHANGES = {"requestBody": {"required": True, "content": {"application/json": {"schema": _change_schema()}}}}


def routes(ledger: Ledger, relay: Relay, channels: Sequence[str]) -> Routes:
    """The routes below /v1/endpoints; `{endpoint}` is a name or an id."""
    reading = Routes("endpoints", prefix=_PREFIX)
    changing = Routes("endpoints", prefix=_PREFIX, dependencies=[OPERATOR], responses=FORBIDDEN)
    _add_reading(reading, ledger)
    _add_making(changing, ledger, relay, channels)
    _add_working(changing, ledger, relay)
    reading.noted += changing.noted
    return reading


def _add_reading(router: Routes, ledger: Ledger) -> None:
    @router.get("", summary="All endpoints, by name, with what they are owed", responses=PROBLEMS)
    def list_endpoints(reader: Asking) -> Listing[EndpointView]:
        owed, full_url = ledger.owed(), reader.full_urls
        views = [EndpointView.of(one, owed.get(one.id, Owed()), full_url=full_url) for one in ledger.endpoints()]
        return Listing(items=views)

    @router.get("/{endpoint}", summary="One endpoint", responses=PROBLEMS | NOT_FOUND)
    def get_endpoint(endpoint: str, reader: Asking) -> EndpointView:
        found = ledger.endpoint(endpoint)
        return EndpointView.of(found, ledger.owed().get(found.id, Owed()), full_url=reader.full_urls)


def _add_making(router: Routes, ledger: Ledger, relay: Relay, channels: Sequence[str]) -> None:
    def check_channel(channel: str) -> None:
        if channel not in channels:
            raise UnfitEndpoint("channel", f"there is no channel {channel}")

    @router.post(
        "",
        status_code=201,
        summary="Add an endpoint; the answer is the only one that shows its secret",
        responses=PROBLEMS | CONFLICT | UNFIT,
    )
    async def add_endpoint(body: NewEndpoint, reader: Asking) -> EndpointWithSecretView:
        if body.name is not None and (problem := unfit_endpoint_name(body.name)):
            raise UnfitEndpoint("name", problem)
        check_channel(body.channel)
        secret = body.secret.get_secret_value() if body.secret is not None else None
        added = await relay.endpoints.add(
            reader.actor, body.name, body.channel, body.definition(), enabled=body.enabled, secret=secret
        )
        return EndpointWithSecretView.with_secret(added, Owed())

    @router.patch(
        "/{endpoint}",
        summary="Change some fields; when this is answered nothing goes by the old ones any more",
        responses=PROBLEMS | NOT_FOUND | CONFLICT | UNFIT,
        openapi_extra=_CHANGES,
    )
    async def change_endpoint(endpoint: str, body: Annotated[dict[str, Any], Body()], reader: Asking) -> EndpointView:
        await relay.endpoints.refresh()
        known = relay.endpoints.find(endpoint)
        wanted = _merged(known.definition, known.channel, enabled=known.enabled, changes=body)
        check_channel(wanted.channel)
        changed = known
        if wanted.channel != known.channel or wanted.definition() != known.definition:
            changed = await relay.endpoints.change(reader.actor, endpoint, wanted.channel, wanted.definition())
        if wanted.enabled != known.enabled:
            changed = await relay.endpoints.switch(reader.actor, endpoint, on=wanted.enabled)
        return EndpointView.of(changed, await _owed(ledger, changed), full_url=True)

    @router.delete(
        "/{endpoint}",
        status_code=204,
        summary="Remove it: it is owed nothing",
        responses=PROBLEMS | NOT_FOUND | CONFLICT,
    )
    async def remove_endpoint(endpoint: str, reader: Asking) -> None:
        await relay.endpoints.remove(reader.actor, endpoint)


def _add_working(router: Routes, ledger: Ledger, relay: Relay) -> None:
    @router.post("/{endpoint}/enable", summary="Switch it on", responses=PROBLEMS | NOT_FOUND | CONFLICT)
    async def enable_endpoint(endpoint: str, reader: Asking) -> EndpointView:
        switched = await relay.endpoints.switch(reader.actor, endpoint, on=True)
        return EndpointView.of(switched, await _owed(ledger, switched), full_url=True)

    @router.post(
        "/{endpoint}/disable",
        summary="Switch it off: what it is owed waits",
        responses=PROBLEMS | NOT_FOUND | CONFLICT,
    )
    async def disable_endpoint(endpoint: str, reader: Asking) -> EndpointView:
        switched = await relay.endpoints.switch(reader.actor, endpoint, on=False)
        return EndpointView.of(switched, await _owed(ledger, switched), full_url=True)

    @router.post(
        "/{endpoint}/rotate-secret",
        summary="Give it a new secret; for 24 hours both sign",
        responses=PROBLEMS | NOT_FOUND | CONFLICT | UNFIT,
    )
    async def rotate_secret(endpoint: str, reader: Asking, body: NewSecret | None = None) -> EndpointWithSecretView:
        rotated = await relay.endpoints.rotate_secret(reader.actor, endpoint, body.secret if body else None)
        return EndpointWithSecretView.with_secret(rotated, await _owed(ledger, rotated))

    @router.post(
        "/{endpoint}/test",
        summary="Send it a callback about nobody's call, and tell what it answered",
        responses=PROBLEMS | NOT_FOUND | CONFLICT,
    )
    async def test_endpoint(endpoint: str, reader: Asking) -> TestView:
        return TestView.of(await relay.endpoints.test(reader.actor, endpoint), full_numbers=reader.full_numbers)


async def _owed(ledger: Ledger, endpoint: Endpoint) -> Owed:
    """What it is owed; reading blocks, so not in the event loop."""
    return (await asyncio.to_thread(ledger.owed)).get(endpoint.id, Owed())


def _merged(definition: Definition, channel: str, *, enabled: bool, changes: dict[str, Any]) -> EndpointSettings:
    """The endpoint as it is, with `changes`. Raises UnfitEndpoint that names the field."""
    if unknown := sorted(changes.keys() - _CHANGEABLE):
        known = ", ".join(sorted(_CHANGEABLE))
        remedy = "POST …/rotate-secret changes it" if unknown[0] == "secret" else f"expected some of {known}"
        raise UnfitEndpoint(unknown[0], f"cannot be changed so: {remedy}")
    now = {name: getattr(definition, name) for name in Definition.__struct_fields__}
    try:
        return _Given(**now | {"channel": channel, "enabled": enabled} | changes)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UnfitEndpoint(field, str(first["msg"]).removeprefix("Value error, ")) from error
