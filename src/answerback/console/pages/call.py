"""One call: its facts, its timeline, the callbacks as received, and the deliveries."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection
from starlette.responses import Response
from starlette.routing import Route

from answerback.auth.api_keys import check_filters
from answerback.console.context import RequestContext
from answerback.console.model.bodies import BodyText, comparison_group, format_body
from answerback.console.model.call_timeline import build_timeline
from answerback.console.model.failure_reasons import failure_reason_text
from answerback.console.model.time_scale import TimeTick
from answerback.console.render import to_local_time
from answerback.console.routing import PageRouter
from answerback.domain.endpoints import Attempt, Delivery
from answerback.domain.masking import mask_fields
from answerback.domain.models import Call, KeyPress, Outcome, StoredCallback
from answerback.errors import AmbiguousCall, CallbackRejected
from answerback.ledger.read.callbacks import find_last_callbacks
from answerback.ledger.read.calls import find_call
from answerback.ledger.read.deliveries import DeliveryFilter, find_deliveries, find_delivery
from answerback.schemas.callbacks import CallbackView, DifferenceView
from answerback.schemas.calls import CallView
from answerback.schemas.deliveries import DeliveryWithAttemptsView
from answerback.tencent.callbacks import parse

_MAX_CALLBACKS = 100
_MAX_DELIVERIES = 100
_NEAR_END = 12.0


class CallHistory(NamedTuple):
    """A call with all that belongs to it; of the callbacks and the deliveries the last, if there are very many."""

    call: Call
    entries: Sequence[StoredCallback]
    earlier_callbacks: int
    deliveries: Sequence[tuple[Delivery, list[Attempt]]]
    has_more_deliveries: bool


class TickLabel(NamedTuple):
    """What is written below the drawing, and where; `anchor` as SVG has it."""

    position: float
    anchor: str
    text: str


class CallbackCard(NamedTuple):
    """A callback as received. `revises` is the id of the first of its sort, from which it differs."""

    entry: StoredCallback
    body: BodyText
    key: str
    revises: int | None
    differences: Sequence[DifferenceView]


def build_routes(router: PageRouter) -> list[Route]:
    paths = ("/calls/{callid:path}", "/call")
    return [*(router.page(path, _show) for path in paths), *(router.action(path, _reveal) for path in paths)]


def _show(context: RequestContext) -> Response:
    try:
        history = _read_history(context)
    except AmbiguousCall as error:
        return _choose(context, error)
    return context.render("call.html", partial(_page_values, context, history))


async def _reveal(context: RequestContext) -> Response:
    history = await context.run_in_thread(_read_history, context)
    unmasked = await context.unmask("call", history.call.callid, f"({history.call.channel})")
    return unmasked.render("call.html", partial(_page_values, unmasked, history))


def _choose(context: RequestContext, ambiguous: AmbiguousCall) -> Response:
    calls = [context.deps.ledger.call(ambiguous.callid, channel) for channel in ambiguous.channels]
    choices = [(context.view_of(call), context.link_to(call.callid, call.channel)) for call in calls]
    return context.render("call_choice.html", {"calls": choices, "section": "calls"}, 409)


def _read_history(context: RequestContext) -> CallHistory:
    """The call that the address names. Raises FullNumbersRequired, ResourceNotFound, AmbiguousCall."""
    callid = str(context.path["callid"]) if "callid" in context.path else context.query.get("callid", "")
    check_filters(context.principal, callid=callid)
    channel = context.query.get("channel")
    return context.deps.ledger.read(read_call_history, callid=callid, channel=channel)


def read_call_history(connection: Connection, callid: str, channel: str | None) -> CallHistory:
    """Read a call with all that belongs to it. Raises ResourceNotFound, AmbiguousCall."""
    call_id, call = find_call(connection, callid, channel)
    entries, earlier = find_last_callbacks(connection, call_id, _MAX_CALLBACKS)
    delivery_filter = DeliveryFilter(callid=callid, channel=call.channel)
    page = find_deliveries(connection, delivery_filter, None, _MAX_DELIVERIES)
    deliveries = [find_delivery(connection, delivery.id) for delivery in reversed(page.items)]
    return CallHistory(call, entries, earlier, deliveries, page.next_cursor is not None)


def _page_values(context: RequestContext, history: CallHistory) -> Mapping[str, Any]:
    call, full_numbers = context.view_of(history.call), context.unmasked
    keys = _pressed_keys(history.entries, full_numbers=full_numbers)
    deliveries = [DeliveryWithAttemptsView.with_attempts(*one, full_numbers=full_numbers) for one in history.deliveries]
    timeline = build_timeline(history.call, history.entries, deliveries, keys)
    return {
        "section": "calls",
        "call": call,
        "self_url": context.link_to(history.call.callid, history.call.channel),
        "unmasked": context.unmasked,
        "metadata": call.metadata and json.dumps(call.metadata, ensure_ascii=False, indent=2),
        "reason": failure_reason_text(call.failure_code, call.failure_reason, context.language),
        "timeline": timeline,
        "ticks": _tick_labels(timeline.ticks, context.deps.zone),
        "summary": _summary_name(call),
        "callbacks": _callback_cards(history.entries, keys, full_numbers=full_numbers),
        "earlier_callbacks": history.earlier_callbacks,
        "deliveries": deliveries,
        "has_more_deliveries": history.has_more_deliveries,
    }


def _summary_name(call: CallView) -> str:
    """The name of the text that sums the call up."""
    times = {Outcome.ANSWERED: call.talk_seconds, Outcome.UNANSWERED: call.ring_seconds}
    return f"call_summary_{call.outcome}" + ("_only" if times.get(call.outcome, 0) is None else "")


def _tick_labels(ticks: Sequence[TimeTick], zone: ZoneInfo) -> list[TickLabel]:
    """The clock at each tick, with the day where it is another than at the one before."""
    labels: list[TickLabel] = []
    day = ""
    for tick in ticks:
        local = to_local_time(tick.at, zone)
        before, day = day, f"{local:%m-%d}"
        anchor = "start" if tick.position < _NEAR_END else "end" if tick.position > 100 - _NEAR_END else "middle"
        text = f"{local:%H:%M:%S}" if before in ("", day) else f"{day} {local:%H:%M}"
        labels.append(TickLabel(tick.position, anchor, text))
    return labels


def _pressed_keys(entries: Sequence[StoredCallback], *, full_numbers: bool) -> dict[int, str]:
    """The key of each key press, by the callback's id."""
    keys = {}
    for entry in entries:
        try:
            callback = parse(entry.raw)
        except CallbackRejected:  # taken by an older program, or by a newer one
            continue
        if isinstance(callback, KeyPress):
            keys[entry.id] = mask_fields({"keys": [callback.key]}, full_numbers=full_numbers)["keys"][0]
    return keys


def _callback_cards(
    entries: Sequence[StoredCallback], keys: Mapping[int, str], *, full_numbers: bool
) -> list[CallbackCard]:
    first: dict[str, StoredCallback] = {}
    cards = []
    for entry in entries:
        sort = comparison_group(entry.kind)
        before = None if sort is None else first.setdefault(sort, entry)
        revised = None if before is None or before is entry else before
        cards.append(
            CallbackCard(
                entry=entry,
                body=format_body(CallbackView.of(entry, full_numbers=full_numbers)),
                key=keys.get(entry.id, ""),
                revises=None if revised is None else revised.id,
                differences=[] if revised is None else _differences(revised, entry, full_numbers=full_numbers),
            )
        )
    return cards


def _differences(before: StoredCallback, after: StoredCallback, *, full_numbers: bool) -> list[DifferenceView]:
    try:
        return DifferenceView.between(before.raw, after.raw, full_numbers=full_numbers)
    except (ValueError, RecursionError):  # bytes of another program's contract
        return []
