"""One call: what is known of it, its story, the callbacks as received, and who was told."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection
from starlette.responses import Response
from starlette.routing import Route

from answerback.auth.api_keys import check_filters
from answerback.console.context import Visit
from answerback.console.model.bodies import Body, body_of, sort_of
from answerback.console.model.call_timeline import story_of
from answerback.console.model.time_scale import Tick
from answerback.console.reasons import reason_words
from answerback.console.render import local_time
from answerback.console.routing import Site
from answerback.domain.masking import masked
from answerback.domain.models import Attempt, Call, Delivery, KeyPress, Outcome
from answerback.errors import AmbiguousCall, CallbackRejected
from answerback.ledger import Entry
from answerback.ledger.read.calls import find_call, find_last_callbacks
from answerback.ledger.read.deliveries import DeliveryFilter, find_deliveries, find_delivery
from answerback.schemas.calls import CallbackView, CallView, DeliveryWithAttemptsView, DifferenceView
from answerback.tencent.callbacks import parse

_MOST_CALLBACKS = 100
_MOST_DELIVERIES = 100
_NEAR_END = 12.0


class Found(NamedTuple):
    """A call with all that belongs to it; of the callbacks and the deliveries the last, if there are very many."""

    call: Call
    entries: Sequence[Entry]
    earlier: int
    told: Sequence[tuple[Delivery, list[Attempt]]]
    has_more_told: bool


class TickLabel(NamedTuple):
    """What is written below the drawing, and where; `anchor` as SVG has it."""

    place: float
    anchor: str
    text: str


class CallbackCard(NamedTuple):
    """A callback as received. `revises` is the id of the first of its sort, from which it differs."""

    entry: Entry
    body: Body
    key: str
    revises: int | None
    differences: Sequence[DifferenceView]


def routes(site: Site) -> list[Route]:
    """The page, and the same with numbers in full."""
    paths = ("/calls/{callid:path}", "/call")
    return [*(site.page(path, _show) for path in paths), *(site.action(path, _reveal) for path in paths)]


async def _show(visit: Visit) -> Response:
    callid, channel = _asked(visit)
    try:
        found = await visit.read(visit.given.ledger.read, partial(find_story, callid=callid, channel=channel))
    except AmbiguousCall as error:
        return await _choose(visit, error)
    return visit.render("call.html", partial(_told, visit, found))


async def _reveal(visit: Visit) -> Response:
    callid, channel = _asked(visit)
    found = await visit.read(visit.given.ledger.read, partial(find_story, callid=callid, channel=channel))
    revealed = await visit.reveal("call", found.call.callid, f"({found.call.channel})")
    return revealed.render("call.html", partial(_told, revealed, found))


async def _choose(visit: Visit, ambiguous: AmbiguousCall) -> Response:
    def calls() -> list[Call]:
        return [visit.given.ledger.call(ambiguous.callid, channel) for channel in ambiguous.channels]

    found = [(visit.view_of(call), visit.link_to(call.callid, call.channel)) for call in await visit.read(calls)]
    return visit.render("call_choice.html", {"calls": found, "section": "calls"}, 409)


def _asked(visit: Visit) -> tuple[str, str | None]:
    """Callid and channel of the address. Raises FullNumbersRequired."""
    callid = str(visit.path["callid"]) if "callid" in visit.path else visit.query.get("callid", "")
    check_filters(visit.reader, callid=callid)
    return callid, visit.query.get("channel")


def find_story(connection: Connection, callid: str, channel: str | None) -> Found:
    """Read a call with all that belongs to it. Raises NotFound, AmbiguousCall."""
    call_id, call = find_call(connection, callid, channel)
    entries, earlier = find_last_callbacks(connection, call_id, _MOST_CALLBACKS)
    wanted = DeliveryFilter(callid=callid, channel=call.channel)
    page = find_deliveries(connection, wanted, None, _MOST_DELIVERIES)
    told = [find_delivery(connection, delivery.id) for delivery in reversed(page.items)]
    return Found(call, entries, earlier, told, page.next_cursor is not None)


def _told(visit: Visit, found: Found) -> Mapping[str, Any]:
    call, full_numbers = visit.view_of(found.call), visit.revealed
    keys = _keys(found.entries, full_numbers=full_numbers)
    told = [DeliveryWithAttemptsView.with_attempts(*one, full_numbers=full_numbers) for one in found.told]
    story = story_of(found.call, found.entries, told, keys)
    return {
        "section": "calls",
        "call": call,
        "self_url": visit.link_to(found.call.callid, found.call.channel),
        "revealed": visit.revealed,
        "metadata": call.metadata and json.dumps(call.metadata, ensure_ascii=False, indent=2),
        "reason": reason_words(call.failure_code, call.failure_reason, visit.language),
        "story": story,
        "ticks": _labels(story.ticks, visit.given.zone),
        "said": _said(call),
        "callbacks": _cards(found.entries, keys, full_numbers=full_numbers),
        "earlier": found.earlier,
        "told": told,
        "has_more_told": found.has_more_told,
    }


def _said(call: CallView) -> str:
    """The name of the sentence that tells what became of the call."""
    times = {Outcome.ANSWERED: call.talk_seconds, Outcome.UNANSWERED: call.ring_seconds}
    return f"call_said_{call.outcome}" + ("_only" if times.get(call.outcome, 0) is None else "")


def _labels(ticks: Sequence[Tick], zone: ZoneInfo) -> list[TickLabel]:
    """The clock at each tick, with the day where it is another than at the one before."""
    labels: list[TickLabel] = []
    day = ""
    for tick in ticks:
        local = local_time(tick.at, zone)
        before, day = day, f"{local:%m-%d}"
        anchor = "start" if tick.place < _NEAR_END else "end" if tick.place > 100 - _NEAR_END else "middle"
        text = f"{local:%H:%M:%S}" if before in ("", day) else f"{day} {local:%H:%M}"
        labels.append(TickLabel(tick.place, anchor, text))
    return labels


def _keys(entries: Sequence[Entry], *, full_numbers: bool) -> dict[int, str]:
    """The key that each callback of that kind tells, by its id."""
    keys = {}
    for entry in entries:
        try:
            callback = parse(entry.raw)
        except CallbackRejected:  # taken by an older program, or by a newer one
            continue
        if isinstance(callback, KeyPress):
            keys[entry.id] = masked({"keys": [callback.key]}, full_numbers=full_numbers)["keys"][0]
    return keys


def _cards(entries: Sequence[Entry], keys: Mapping[int, str], *, full_numbers: bool) -> list[CallbackCard]:
    first: dict[str, Entry] = {}
    cards = []
    for entry in entries:
        sort = sort_of(entry.kind)
        before = None if sort is None else first.setdefault(sort, entry)
        revised = None if before is None or before is entry else before
        cards.append(
            CallbackCard(
                entry=entry,
                body=body_of(CallbackView.of(entry, full_numbers=full_numbers)),
                key=keys.get(entry.id, ""),
                revises=None if revised is None else revised.id,
                differences=[] if revised is None else _differences(revised, entry, full_numbers=full_numbers),
            )
        )
    return cards


def _differences(before: Entry, after: Entry, *, full_numbers: bool) -> list[DifferenceView]:
    try:
        return DifferenceView.between(before.raw, after.raw, full_numbers=full_numbers)
    except (ValueError, RecursionError):  # bytes of another program's contract
        return []
