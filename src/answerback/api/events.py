"""GET /v1/events: what happens, as it happens, as server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import BaseModel

from answerback.api.dependencies import CurrentPrincipal, Principal
from answerback.api.routes import Responses, Routes
from answerback.domain.models import CallbackKind, Outcome
from answerback.domain.webhook_payload import EVENT_TYPES
from answerback.errors import InvalidField, LedgerUnavailable
from answerback.feed.activity_feed import ActivityFeed, Subscriber
from answerback.feed.event_stream import HEARTBEAT, EventStream
from answerback.ledger.admin.audit import AuditAction
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import RecordAuditEvent
from answerback.ledger.read.activity import ActivityCursor, ActivityEvent
from answerback.schemas.callbacks import body_fields
from answerback.schemas.events import ActivityType, AttemptActivityView, CallbackActivityView

_KEY_CHECK_S = 3.0
_STREAM: Responses = {
    200: {
        "description": "a stream that does not end by itself. Each event has its cursor as `id`, its type as `event`, and JSON as `data`; "
        "a comment comes every 15 seconds if nothing else does",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
}


class EventQuery(BaseModel):
    """Which events, and from where on."""

    after: Annotated[
        str | None,
        Query(
            description="the `cursor` of an event: go on behind it; 0: from the first that is stored; by default from now on. "
            "The header `Last-Event-ID` counts first",
            max_length=64,
            examples=["17-4"],
        ),
    ] = None
    type: Annotated[ActivityType | None, Query(description="only callbacks, or only attempts")] = None
    channel: Annotated[str | None, Query(description="only this channel", examples=["default"])] = None
    kind: Annotated[CallbackKind | None, Query(description="only callbacks of this kind, and no attempts")] = None
    outcome: Annotated[Outcome | None, Query(description="only of calls with this outcome", examples=["failed"])] = None

    def matches(self, event: ActivityEvent) -> bool:
        """Whether the filters let an event through."""
        type_ = ActivityType.ATTEMPT if event.callback_kind is None else ActivityType.CALLBACK
        return (
            self.type in (None, type_)
            and self.channel in (None, event.channel)
            and self.kind in (None, event.callback_kind)
            and self.outcome in (None, event.outcome)
        )

    @property
    def summary(self) -> str:
        """The filters, for the audit log."""
        fields = self.model_dump(mode="json", exclude={"after"}, exclude_none=True)
        return " ".join(["events as they happen", *(f"{name}={value}" for name, value in fields.items())])


def build_routes(feed: ActivityFeed, writer: LedgerClient, channels: Sequence[str]) -> Routes:
    routes = Routes("events")

    @routes.get(
        "/v1/events",
        summary="Follow callbacks and delivery attempts, as server-sent events",
        response_class=Response,
        responses=_STREAM,
    )
    async def stream_events(
        request: Request, principal: CurrentPrincipal, query: Annotated[EventQuery, Query()]
    ) -> Response:
        after = request.headers.get("last-event-id") or query.after
        cursor = None if after is None else ActivityCursor.parse(after)
        if cursor is None and after is not None:
            raise InvalidField("after", "expected the cursor of an event, or 0")
        if query.channel is not None and query.channel not in channels:
            raise InvalidField("channel", f"there is no channel {query.channel}")
        subscriber = await feed.subscribe(cursor, principal.key.name)
        try:
            if principal.full_numbers:
                await writer.execute(RecordAuditEvent(principal.actor, AuditAction.NUMBERS_REVEALED, (query.summary,)))
        except BaseException:
            feed.unsubscribe(subscriber)
            raise
        chunks = _events(feed, subscriber, query, full_numbers=principal.full_numbers)
        return EventStream(feed, subscriber, chunks, _wait_for_revocation(principal))

    return routes


async def _events(
    feed: ActivityFeed, subscriber: Subscriber, query: EventQuery, *, full_numbers: bool
) -> AsyncIterator[bytes]:
    cursor = subscriber.cursor
    yield b"retry: 2000\nid: %b\n\n" % str(cursor).encode()
    async for batch in feed.batches(subscriber, skip=False):
        if batch is None:
            yield HEARTBEAT
            continue
        yield await asyncio.to_thread(_encode, cursor, batch.events, batch.end, query, full_numbers=full_numbers)
        cursor = batch.end


def _encode(
    cursor: ActivityCursor,
    events: Sequence[ActivityEvent],
    end: ActivityCursor,
    query: EventQuery,
    *,
    full_numbers: bool,
) -> bytes:
    """Those of the events that the query asks for, and then the position behind all of them."""
    chunks = []
    for event in events:
        cursor = cursor.after(event)
        if query.matches(event):
            view = _view(cursor, event, full_numbers=full_numbers)
            head = f"id: {cursor}\nevent: {view.type}\ndata: "
            chunks.append(head.encode() + view.model_dump_json().encode() + b"\n\n")
    return b"".join([*chunks, f"id: {end}\n\n".encode()])


def _view(
    cursor: ActivityCursor, event: ActivityEvent, *, full_numbers: bool
) -> CallbackActivityView | AttemptActivityView:
    if event.callback_kind is not None:
        body = body_fields(event.raw, full_numbers=full_numbers)
        return CallbackActivityView.read_from(
            event,
            full_numbers=full_numbers,
            cursor=str(cursor),
            type=ActivityType.CALLBACK,
            kind=event.callback_kind,
            **body,
        )
    return AttemptActivityView.read_from(
        event,
        full_numbers=full_numbers,
        cursor=str(cursor),
        type=ActivityType.ATTEMPT,
        event=event.event and EVENT_TYPES[event.event],
        http_status=event.status,
        duration_ms=round((event.duration_s or 0.0) * 1000, 1),
    )


async def _wait_for_revocation(principal: Principal) -> None:
    """Until the key opens nothing any more."""
    is_valid = True
    while is_valid:
        await asyncio.sleep(_KEY_CHECK_S)
        with suppress(LedgerUnavailable):
            is_valid = await principal.is_valid()
