"""/v1/calls: what became of the calls, and what the business says of them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from answerback.api.parts import AMBIGUOUS, NOT_FOUND, PROBLEMS, UNFIT, Channel, Cursor, Limit, Moment, utc
from answerback.api.ports import Relay, Shelf
from answerback.api.views import CallbackView, CallView, Listing
from answerback.errors import UnfitEndpoint
from answerback.ledger.query import CallFilter
from answerback.ledger.references import Reference
from answerback.model import Kind, Outcome

_LONGEST_TEXT = 256
_LARGEST_METADATA_BYTES = 16_384


class ReferenceBody(BaseModel):
    """What the business says of a call. What is left out stays as it is; null takes it back."""

    model_config = ConfigDict(extra="forbid")

    reference: str | None = Field(None, max_length=_LONGEST_TEXT, description="the business's own id of the call")
    metadata: dict[str, JsonValue] | None = Field(None, description="anything else, up to 16 KiB of JSON")
    due_at: datetime | None = Field(
        None, description="when an outcome is expected; past it, without one, endpoints are told that it is overdue"
    )

    @field_validator("metadata")
    @classmethod
    def _check_metadata(cls, metadata: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        try:
            encoded = json.dumps(metadata, allow_nan=False, ensure_ascii=False).encode()
            msgspec.msgpack.encode(metadata)  # the form in which the ledger's writer gets it
        except (ValueError, OverflowError) as error:
            raise ValueError("holds a number that JSON readers do not agree on") from error
        if len(encoded) > _LARGEST_METADATA_BYTES:
            raise ValueError(f"is larger than {_LARGEST_METADATA_BYTES} bytes of JSON")
        return metadata

    @field_validator("due_at")
    @classmethod
    def _check_due_at(cls, due_at: datetime | None) -> datetime | None:
        try:
            return due_at and utc(due_at) and (utc(due_at) or due_at).astimezone(UTC)
        except OverflowError as error:
            raise ValueError("is outside of the years 1 to 9999 in UTC") from error

    def said(self) -> Reference:
        """The same, as the ledger takes it."""
        given: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        return Reference(**given | ({"due_at": utc(self.due_at)} if "due_at" in given else {}))


def routes(ledger: Shelf, relay: Relay, channels: Sequence[str]) -> APIRouter:
    """The routes below /v1/calls."""
    router = APIRouter(tags=["calls"])

    @router.get("/v1/calls", summary="Calls, newest first", responses=PROBLEMS)
    def calls(
        channel: str | None = None,
        mobile: Annotated[str | None, Query(description="exactly as received, without nationcode")] = None,
        outcome: Outcome | None = None,
        kind: Kind | None = None,
        since: Moment = None,
        until: Moment = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Listing[CallView]:
        wanted = CallFilter(
            channel=channel, mobile=mobile, outcome=outcome, kind=kind, since=utc(since), until=utc(until)
        )
        page = ledger.calls(wanted, cursor, limit)
        return Listing(
            items=[CallView.of(call, full_numbers=True) for call in page.items], next_cursor=page.next_cursor
        )

    @router.get(
        "/v1/calls/{callid:path}/callbacks",
        summary="Its callbacks as received, in order",
        responses=PROBLEMS | NOT_FOUND | AMBIGUOUS,
    )
    def callbacks(callid: str, channel: Channel = None) -> Listing[CallbackView]:
        entries = ledger.callbacks(callid, channel)
        return Listing(items=[CallbackView.of(entry, full_numbers=True) for entry in entries])

    @router.get("/v1/calls/{callid:path}", summary="One call", responses=PROBLEMS | NOT_FOUND | AMBIGUOUS)
    def call(callid: str, channel: Channel = None) -> CallView:
        return CallView.of(ledger.call(callid, channel), full_numbers=True)

    @router.put(
        "/v1/calls/{callid:path}",
        summary="Say what the business knows of a call, before or after any callback",
        responses=PROBLEMS | NOT_FOUND | AMBIGUOUS | UNFIT | {201: {"model": CallView}},
    )
    async def refer(
        callid: Annotated[str, Path(max_length=_LONGEST_TEXT)],
        body: ReferenceBody,
        response: Response,
        channel: Annotated[
            str | None,
            Query(description="the call's channel; needed before its first callback where there are several"),
        ] = None,
    ) -> CallView:
        if not callid.isprintable():
            raise UnfitEndpoint("callid", "holds a character that is not printable")
        if channel is not None and channel not in channels:
            raise UnfitEndpoint("channel", f"there is no channel {channel}")
        referred = await relay.refer(callid, channel, body.said())
        response.status_code = 201 if referred.created else 200
        return CallView.of(referred.call, full_numbers=True)

    return router
