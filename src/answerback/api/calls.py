"""/v1/calls: calls, their callbacks and their annotations."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import msgspec
from fastapi import Path, Query, Response
from pydantic import Field, JsonValue, field_validator
from starlette.convertors import Convertor, register_url_convertor

from answerback.api.dependencies import (
    CallChannel,
    CallidPath,
    CallQuery,
    CurrentPrincipal,
    Cursor,
    PageSize,
    StrictBody,
    UtcInstant,
)
from answerback.api.routes import AMBIGUOUS, NOT_FOUND, NUMBERS_HIDDEN, Routes
from answerback.auth.api_keys import check_filters
from answerback.domain.models import Role
from answerback.errors import InvalidEndpoint
from answerback.ledger import Ledger
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.write.annotations import CallAnnotation
from answerback.relay import Relay
from answerback.schemas.callbacks import CallbackView
from answerback.schemas.calls import CallView
from answerback.schemas.view import PageView

_MAX_TEXT_LENGTH = 256
_MAX_METADATA_BYTES = 16_384


class _CallidConvertor(Convertor[str]):
    """A callid in an address, which may hold a slash; what ends in /callbacks is another address."""

    regex = ".+(?<!/callbacks)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("callid", _CallidConvertor())


class CallPageQuery(CallQuery):
    """A page of calls."""

    cursor: Cursor = None
    page_size: PageSize = 50


class AnnotationUpdate(StrictBody):
    """Your application's annotation of a call. Fields that are left out stay unchanged; null removes a value."""

    reference: str | None = Field(None, max_length=_MAX_TEXT_LENGTH, description="your application's id of the call")
    metadata: dict[str, JsonValue] | None = Field(
        None, description="anything else about the call, up to 16 KiB of JSON"
    )
    due_at: UtcInstant | None = Field(
        None, description="when an outcome is due; if there is none by then, an overdue event is delivered"
    )

    @field_validator("metadata")
    @classmethod
    def _check_metadata(cls, metadata: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        try:
            encoded = json.dumps(metadata, allow_nan=False, ensure_ascii=False).encode()
            msgspec.msgpack.encode(metadata)  # the form in which the ledger's writer gets it
        except (ValueError, OverflowError) as error:
            raise ValueError("contains a number that JSON parsers read differently") from error
        if len(encoded) > _MAX_METADATA_BYTES:
            raise ValueError(f"is larger than {_MAX_METADATA_BYTES} bytes of JSON")
        return metadata

    @field_validator("due_at")
    @classmethod
    def _check_due_at(cls, due_at: datetime | None) -> datetime | None:
        try:
            return due_at and due_at.astimezone(UTC)
        except OverflowError as error:
            raise ValueError("is outside of the years 1 to 9999 in UTC") from error

    def to_annotation(self) -> CallAnnotation:
        """The same, as the ledger takes it."""
        return CallAnnotation(**{name: getattr(self, name) for name in self.model_fields_set})


def build_routes(ledger: Ledger, relay: Relay, channels: Sequence[str]) -> Routes:
    router = Routes("calls")

    @router.get("/v1/calls", summary="List calls, newest first", responses=NUMBERS_HIDDEN)
    def list_calls(principal: CurrentPrincipal, query: Annotated[CallPageQuery, Query()]) -> PageView[CallView]:
        filters = query.filters()
        check_filters(principal.key, **filters)
        page = ledger.calls(CallFilter(**filters), query.cursor, query.page_size)
        principal.log_unmasked(len(page.items))
        return PageView.of(page, partial(CallView.of, full_numbers=principal.full_numbers))

    @router.get(
        "/v1/calls/{callid:path}/callbacks",
        summary="List a call's callbacks as received, in order; a page has fewer than `page_size` if their bodies are large",
        responses=NUMBERS_HIDDEN | NOT_FOUND | AMBIGUOUS,
    )
    def list_callbacks(
        callid: CallidPath,
        principal: CurrentPrincipal,
        channel: CallChannel = None,
        cursor: Cursor = None,
        page_size: PageSize = 50,
    ) -> PageView[CallbackView]:
        check_filters(principal.key, callid=callid)
        page = ledger.callbacks(callid, channel, cursor, page_size)
        principal.log_unmasked(len(page.items))
        return PageView.of(page, partial(CallbackView.of, full_numbers=principal.full_numbers))

    @router.get("/v1/calls/{callid:callid}", summary="Get a call", responses=NUMBERS_HIDDEN | NOT_FOUND | AMBIGUOUS)
    def get_call(callid: CallidPath, principal: CurrentPrincipal, channel: CallChannel = None) -> CallView:
        check_filters(principal.key, callid=callid)
        found = ledger.call(callid, channel)
        principal.log_unmasked(1)
        return CallView.of(found, full_numbers=principal.full_numbers)

    @router.put(
        "/v1/calls/{callid:callid}",
        summary="Annotate a call, before or after any callback",
        responses=NOT_FOUND | AMBIGUOUS | {201: {"model": CallView}},
        role=Role.OPERATOR,
    )
    async def put_call(
        callid: Annotated[CallidPath, Path(max_length=_MAX_TEXT_LENGTH)],
        body: AnnotationUpdate,
        principal: CurrentPrincipal,
        response: Response,
        channel: Annotated[
            str | None,
            Query(description="the call's channel; required before its first callback if there are several channels"),
        ] = None,
    ) -> CallView:
        check_filters(principal.key, callid=callid)
        if channel is not None and channel not in channels:
            raise InvalidEndpoint("channel", f"there is no channel {channel}")
        annotated = await relay.annotate_call(callid, channel, body.to_annotation())
        principal.log("call_annotated", channel=annotated.call.channel, call=annotated.call_id)
        response.status_code = 201 if annotated.created else 200
        principal.log_unmasked(1)
        return CallView.of(annotated.call, full_numbers=principal.full_numbers)

    return router
