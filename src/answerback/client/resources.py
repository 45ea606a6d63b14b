"""The operations of /v1, each described once."""

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

import msgspec

from answerback.client.operations import Resource, S, listing, operation
from answerback.client.parameters import (
    Annotation,
    CallPaging,
    DeliveryPaging,
    EndpointFields,
    FeePaging,
    Paging,
    ReplaySelection,
    StatisticsRange,
)
from answerback.client.requests import GatewayRequest, V, change, delete, read
from answerback.domain.models import DEFAULT_CHANNEL
from answerback.schemas.alerts import AlertView
from answerback.schemas.callbacks import (
    BulkSubmitView,
    CallbackResponseView,
    CallbackView,
    QuarantinedBodyView,
    QuarantinedView,
    RequeueView,
)
from answerback.schemas.calls import CallView, FeeAuditView
from answerback.schemas.cluster import StatusView
from answerback.schemas.deliveries import DeliveryView, DeliveryWithAttemptsView, ReplayView
from answerback.schemas.endpoints import EndpointTestView, EndpointView, EndpointWithSecretView
from answerback.schemas.erasures import ErasureView
from answerback.schemas.keys import AuditEventView, CreatedKeyView, CurrentKeyView, KeyView, SignInLinkView
from answerback.schemas.statistics import FailuresView, StatisticsView
from answerback.schemas.view import PageView

_TEST_TIMEOUT_S = 330.0  # a test may take as long as an endpoint's own time, 300 s at most

_CALL = "/v1/calls/{callid}"
_ENDPOINT = "/v1/endpoints/{endpoint}"
_DELIVERY = "/v1/deliveries/{id}"
_QUARANTINED = "/v1/quarantine/{id}"


class Calls(Resource[S]):
    """/v1/calls."""

    @listing
    def list(self, **filters: Unpack[CallPaging]) -> GatewayRequest[PageView[CallView]]:
        """Calls, newest first."""
        return read("/v1/calls", PageView[CallView], **filters)

    @operation
    def get(self, callid: str, *, channel: str | None = None) -> GatewayRequest[CallView]:
        """A call. Raises NotFound; Ambiguous if several channels have the callid, and none is named."""
        return read(_CALL, CallView, {"callid": callid}, channel=channel)

    @listing
    def callbacks(
        self, callid: str, *, channel: str | None = None, **paging: Unpack[Paging]
    ) -> GatewayRequest[PageView[CallbackView]]:
        """A call's callbacks as they were received, in order."""
        return read(f"{_CALL}/callbacks", PageView[CallbackView], {"callid": callid}, channel=channel, **paging)

    @operation
    def annotate(
        self, callid: str, *, channel: str | None = None, **annotation: Unpack[Annotation]
    ) -> GatewayRequest[CallView]:
        """Annotate a call, before or after its first callback."""
        path = {"callid": callid}
        return change("PUT", _CALL, CallView, path, annotation, is_repeatable=True, channel=channel)


class Callbacks(Resource[S]):
    """/v1/callbacks: submit callbacks that you have from elsewhere. One that is known already is counted as a duplicate."""

    @operation
    def submit(
        self, callback: bytes | Mapping[str, Any], *, channel: str = DEFAULT_CHANNEL
    ) -> GatewayRequest[CallbackResponseView]:
        """Submit one callback. Raises Invalid if it is none; it is in quarantine then."""
        return _submission(_body_of(callback), "application/json", CallbackResponseView, channel)

    @operation
    def submit_many(
        self, callbacks: Iterable[bytes | Mapping[str, Any]], *, channel: str = DEFAULT_CHANNEL
    ) -> GatewayRequest[BulkSubmitView]:
        """Submit up to 10,000 callbacks, 32 MiB; the answer has a line for each. Submit the `unavailable` ones again."""
        lines = (_body_of(callback).translate(_ONE_LINE) for callback in callbacks)
        return _submission(b"\n".join(lines), "application/x-ndjson", BulkSubmitView, channel)


class Endpoints(Resource[S]):
    """/v1/endpoints. An endpoint is named by its name or its id."""

    @listing
    def list(self) -> GatewayRequest[PageView[EndpointView]]:
        """All endpoints, with their backlogs."""
        return read("/v1/endpoints", PageView[EndpointView])

    @operation
    def get(self, endpoint: str) -> GatewayRequest[EndpointView]:
        return read(_ENDPOINT, EndpointView, {"endpoint": endpoint})

    @operation
    def create(
        self, url: str, *, name: str | None = None, secret: str | None = None, **fields: Unpack[EndpointFields]
    ) -> GatewayRequest[EndpointWithSecretView]:
        """Create an endpoint; only this answer has its secret."""
        body = {"url": url, "name": name, "secret": secret, **fields}
        return change("POST", "/v1/endpoints", EndpointWithSecretView, body=body)

    @operation
    def update(
        self, endpoint: str, *, url: str | None = None, **fields: Unpack[EndpointFields]
    ) -> GatewayRequest[EndpointView]:
        """Change some fields; once this returns, no attempt uses the old ones."""
        body = fields if url is None else {"url": url, **fields}
        return change("PATCH", _ENDPOINT, EndpointView, {"endpoint": endpoint}, body, is_repeatable=True)

    @operation
    def delete(self, endpoint: str) -> GatewayRequest[None]:
        """Remove an endpoint and cancel its pending deliveries."""
        return delete(_ENDPOINT, {"endpoint": endpoint})

    @operation
    def enable(self, endpoint: str) -> GatewayRequest[EndpointView]:
        return change("POST", f"{_ENDPOINT}/enable", EndpointView, {"endpoint": endpoint}, is_repeatable=True)

    @operation
    def disable(self, endpoint: str) -> GatewayRequest[EndpointView]:
        """Disable an endpoint: deliveries wait until it is enabled."""
        return change("POST", f"{_ENDPOINT}/disable", EndpointView, {"endpoint": endpoint}, is_repeatable=True)

    @operation
    def rotate_secret(self, endpoint: str, *, secret: str | None = None) -> GatewayRequest[EndpointWithSecretView]:
        """Set a new secret, shown only in this answer; the old one keeps signing for 24 hours."""
        path, body = {"endpoint": endpoint}, {"secret": secret}
        return change("POST", f"{_ENDPOINT}/rotate-secret", EndpointWithSecretView, path, body)

    @operation
    def test(self, endpoint: str) -> GatewayRequest[EndpointTestView]:
        """Send a test event; the answer says what the endpoint responded."""
        path, shape = {"endpoint": endpoint}, EndpointTestView
        return change("POST", f"{_ENDPOINT}/test", shape, path, least_timeout_s=_TEST_TIMEOUT_S)


class Deliveries(Resource[S]):
    """/v1/deliveries."""

    @listing
    def list(self, **filters: Unpack[DeliveryPaging]) -> GatewayRequest[PageView[DeliveryView]]:
        """Deliveries, newest first."""
        return read("/v1/deliveries", PageView[DeliveryView], **filters)

    @operation
    def get(self, id: int) -> GatewayRequest[DeliveryWithAttemptsView]:
        """A delivery with its attempts."""
        return read(_DELIVERY, DeliveryWithAttemptsView, {"id": id})

    @operation
    def replay(self, id: int) -> GatewayRequest[DeliveryView]:
        """Deliver again now, whatever the delivery's state."""
        return change("POST", f"{_DELIVERY}/replay", DeliveryView, {"id": id})


class Replays(Resource[S]):
    """/v1/replays: many deliveries again, in the background."""

    @operation
    def start(
        self, endpoint: str, *, dead: bool = False, **calls: Unpack[ReplaySelection]
    ) -> GatewayRequest[ReplayView]:
        """Deliver all dead deliveries of an endpoint again, or everything about some calls."""
        return change("POST", "/v1/replays", ReplayView, body={"endpoint": endpoint, "dead": dead, **calls})

    @operation
    def get(self, id: int) -> GatewayRequest[ReplayView]:
        """A replay and its progress."""
        return read("/v1/replays/{id}", ReplayView, {"id": id})


class Quarantine(Resource[S]):
    """/v1/quarantine: bodies that could not be parsed."""

    @listing
    def list(
        self, *, channel: str | None = None, **paging: Unpack[Paging]
    ) -> GatewayRequest[PageView[QuarantinedView]]:
        """Quarantined bodies, newest first."""
        return read("/v1/quarantine", PageView[QuarantinedView], channel=channel, **paging)

    @operation
    def get(self, id: int) -> GatewayRequest[QuarantinedBodyView]:
        """A quarantined body with its bytes."""
        return read(_QUARANTINED, QuarantinedBodyView, {"id": id})

    @operation
    def requeue(self, id: int) -> GatewayRequest[RequeueView]:
        """Parse a body again: if it is a callback now, it is recorded with the time it came in."""
        return change("POST", f"{_QUARANTINED}/requeue", RequeueView, {"id": id})

    @operation
    def delete(self, id: int) -> GatewayRequest[None]:
        """Delete a body for good."""
        return delete(_QUARANTINED, {"id": id})


class Keys(Resource[S]):
    """/v1/keys: API keys, for admins."""

    @listing
    def list(self) -> GatewayRequest[PageView[KeyView]]:
        """All keys but the admin key."""
        return read("/v1/keys", PageView[KeyView])

    @operation
    def create(self, name: str, *, role: str, full_numbers: bool = False) -> GatewayRequest[CreatedKeyView]:
        """Create a key; only this answer has it."""
        body = {"name": name, "role": role, "full_numbers": full_numbers}
        return change("POST", "/v1/keys", CreatedKeyView, body=body)

    @operation
    def revoke(self, name: str) -> GatewayRequest[None]:
        """Revoke a key, by name or id: it stops working at once."""
        return delete("/v1/keys/{name}", {"name": name})

    @operation
    def sign_in_link(self, *, key: str | None = None) -> GatewayRequest[SignInLinkView]:
        """A link that signs in to the console once, with the rights of a key; of this client's by default."""
        return change("POST", "/v1/sign-in-links", SignInLinkView, body={"key": key})


class Erasures(Resource[S]):
    """/v1/erasures: erase a person's number, for admins with the right to full numbers."""

    @operation
    def create(self, number: str) -> GatewayRequest[ErasureView]:
        """Erase a number from everything that is stored; `get` says when that is done."""
        return change("POST", "/v1/erasures", ErasureView, body={"number": number})

    @operation
    def get(self, id: int) -> GatewayRequest[ErasureView]:
        """The receipt of an erasure."""
        return read("/v1/erasures/{id}", ErasureView, {"id": id})


class GatewayOperations(Resource[S]):
    """All of /v1."""

    def __init__(self, sender: S) -> None:
        super().__init__(sender)
        self.calls = Calls[S](sender)
        self.callbacks = Callbacks[S](sender)
        self.endpoints = Endpoints[S](sender)
        self.deliveries = Deliveries[S](sender)
        self.replays = Replays[S](sender)
        self.quarantine = Quarantine[S](sender)
        self.keys = Keys[S](sender)
        self.erasures = Erasures[S](sender)

    @property
    def recorder_lag_s(self) -> float:
        """By how many seconds the ledger was behind what had been answered, at the last read; 0: it was not."""
        return self.sender.recorder_lag_s

    @operation
    def stats(self, *, step: str | None = None, **range: Unpack[StatisticsRange]) -> GatewayRequest[StatisticsView]:
        """Statistics of the calls first seen in a range; `step` of the trend is hour or day."""
        return read("/v1/stats", StatisticsView, step=step, **range)

    @operation
    def failures(self, **range: Unpack[StatisticsRange]) -> GatewayRequest[FailuresView]:
        """Failure codes with counts and shares."""
        return read("/v1/failures", FailuresView, **range)

    @operation
    def fees(self, **range: Unpack[FeePaging]) -> GatewayRequest[FeeAuditView]:
        """Billed minutes against those due, with a page of the calls that differ."""
        return read("/v1/fees", FeeAuditView, **range)

    @listing
    def alerts(self) -> GatewayRequest[PageView[AlertView]]:
        """The alert rules and their state."""
        return read("/v1/alerts", PageView[AlertView])

    @operation
    def status(self) -> GatewayRequest[StatusView]:
        """The gateway's processes, and which of them delivers to each endpoint."""
        return read("/v1/status", StatusView)

    @operation
    def me(self) -> GatewayRequest[CurrentKeyView]:
        """The key of this client, and its role."""
        return read("/v1/me", CurrentKeyView)

    @listing
    def audit_events(self, **paging: Unpack[Paging]) -> GatewayRequest[PageView[AuditEventView]]:
        """Audit events, newest first."""
        return read("/v1/audit-events", PageView[AuditEventView], **paging)


_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
"""Outside of a JSON string a line break is white space, and inside there is none."""


def _submission(body: bytes, content_type: str, shape: type[V], channel: str) -> GatewayRequest[V]:
    described = change("POST", "/v1/callbacks", shape, is_repeatable=True, channel=channel)
    return msgspec.structs.replace(described, body=body, content_type=content_type)


def _body_of(callback: bytes | Mapping[str, Any]) -> bytes:
    return callback if isinstance(callback, bytes) else msgspec.json.encode(callback)
