"""Calls: found by what one knows of them, listed by what one wants to see, taken along as a file."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection
from starlette.responses import Response
from starlette.routing import Route

from answerback.auth.api_keys import check_filters
from answerback.console.context import Visit
from answerback.console.links import Links
from answerback.console.model.call_filter import FIELDS, RANGES, Wanted, matches, read_filter
from answerback.console.reasons import reason_words
from answerback.console.routing import Site
from answerback.domain.models import Call, Kind, Outcome
from answerback.errors import ExtraMissing
from answerback.exports import FileFormat
from answerback.exports.spec import require
from answerback.ledger import Page
from answerback.ledger.read.calls import CallFilter, channels_holding, find_call, find_calls
from answerback.schemas.calls import CallView
from answerback.tencent.codes import FAILURE_REASONS

_A_PAGE = 50
_FORMATS = {"Excel": FileFormat.XLSX, "CSV": FileFormat.CSV, "NDJSON": FileFormat.NDJSON, "Parquet": FileFormat.PARQUET}


def routes(site: Site) -> list[Route]:
    """The list."""
    return [site.page("/calls", _list)]


async def _list(visit: Visit) -> Response:
    text = visit.query.get("find", "").strip()
    if text:
        return await _find(visit, text)
    wanted = read_filter(visit.query, visit.given.channels, datetime.now(UTC), visit.given.zone)
    calls = wanted.calls
    check_filters(visit.reader, calls.mobile, calls.failure_code, callid=wanted.callid, reference=calls.reference)
    cursor = visit.query.get("cursor")
    page = await visit.read(visit.given.ledger.read, partial(_page, wanted=wanted, cursor=cursor))
    return _show(visit, page, wanted)


async def _find(visit: Visit, text: str) -> Response:
    """To the call of that callid or reference; else the calls to that number, or of that reference."""
    check_filters(visit.reader, find=text)
    found = await visit.read(visit.given.ledger.read, partial(_found, text=text, visit=visit))
    if isinstance(found, str):
        return visit.redirect(found)
    wanted = read_filter(found, visit.given.channels, datetime.now(UTC), visit.given.zone)
    if found:
        return visit.redirect(visit.links.list("calls", **found))
    return _show(visit, Page([], None), wanted, sought=text)


def _found(connection: Connection, text: str, visit: Visit) -> str | dict[str, str]:
    """The page of the one call that is meant, or the filter for several; empty where there is none."""
    holders, links = channels_holding(connection, text), visit.links
    if holders:
        return links.call(text, holders[0] if len(holders) == 1 else None)
    referred = find_calls(connection, CallFilter(reference=text), None, 2).items
    if len(referred) == 1:
        return links.call(referred[0].callid, referred[0].channel)
    if referred:
        return {"reference": text}
    may_know = visit.reader.full_numbers and find_calls(connection, CallFilter(mobile=text), None, 1).items
    return {"mobile": text} if may_know else {}


def _page(connection: Connection, wanted: Wanted, cursor: str | None) -> Page[Call]:
    if wanted.callid is None:
        return find_calls(connection, wanted.calls, cursor, _A_PAGE)
    calls = [find_call(connection, wanted.callid, holder)[1] for holder in channels_holding(connection, wanted.callid)]
    return Page([call for call in calls if matches(wanted.calls, call.channel, call.kind, call.outcome)], None)


def _show(visit: Visit, page: Page[Call], wanted: Wanted, sought: str = "") -> Response:
    query = {name: visit.query[name] for name in FIELDS if name in visit.query}
    told: Mapping[str, Any] = {
        "next_cursor": page.next_cursor,
        "calls": [
            (visit.view_of(call), visit.link_to(call.callid, _named(call.channel, visit))) for call in page.items
        ],
        "wanted": wanted,
        "sought": sought,
        "query": query,
        "cursor": visit.query.get("cursor"),
        "channels": visit.given.channels,
        "callback_urls": visit.given.callback_urls,
        "kinds": list(Kind),
        "outcomes": list(Outcome),
        "ranges": RANGES,
        "codes": {code: reason_words(code, None, visit.language) for code in FAILURE_REASONS},
        "exports": _exports(wanted, visit.links),
        "full_exports": _exports(wanted, visit.links, numbers="full") if visit.reader.full_numbers else {},
        "reason": partial(_reason, visit.language),
    }
    return visit.render("calls.html", told, 422 if wanted.faults else 200)


def _named(channel: str, visit: Visit) -> str | None:
    """A channel, where there are several."""
    return channel if len(visit.given.channels) > 1 else None


def _reason(language: str, call: CallView) -> str:
    return reason_words(call.failure_code, call.failure_reason, language)


def _exports(wanted: Wanted, links: Links, **more: str) -> dict[str, str]:
    """The same calls as a file, by the names of its forms; of one callid there is no file."""
    fields = {name: getattr(wanted.calls, name) for name in CallFilter.__struct_fields__}
    texts = {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in fields.items()
        if value is not None
    }
    forms = {} if wanted.callid else {name: form for name, form in _FORMATS.items() if _is_offered(form)}
    return {name: links.list(f"exports/calls.{form}", **texts, **more) for name, form in forms.items()}


def _is_offered(form: FileFormat) -> bool:
    """Whether what the form needs is installed."""
    try:
        require(form)
    except ExtraMissing:
        return False
    return True
