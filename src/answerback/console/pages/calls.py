"""Calls: found by what one knows of them, listed by what one wants to see, taken along as a file."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from msgspec.structs import asdict
from sqlalchemy.engine import Connection
from starlette.responses import Response
from starlette.routing import Route

from answerback.auth.api_keys import check_filters
from answerback.console.context import RequestContext
from answerback.console.links import Links
from answerback.console.model.call_filter import FIELDS, RANGES, CallFilterForm, matches, parse_call_filter
from answerback.console.model.failure_reasons import failure_reason_text
from answerback.console.routing import PageRouter
from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.models import Call, CallbackKind, Outcome, Page
from answerback.errors import MissingExtra
from answerback.exports import FileFormat
from answerback.exports.spec import require_extra
from answerback.ledger.read.calls import CallFilter, channels_holding, find_call, find_calls
from answerback.schemas.calls import CallView

_PAGE_SIZE = 50
_FORMATS = {"Excel": FileFormat.XLSX, "CSV": FileFormat.CSV, "NDJSON": FileFormat.NDJSON, "Parquet": FileFormat.PARQUET}


def build_routes(router: PageRouter) -> list[Route]:
    return [router.page("/calls", _list)]


def _list(context: RequestContext) -> Response:
    text = context.query.get("find", "").strip()
    if text:
        return _search(context, text)
    call_filter = parse_call_filter(context.query, context.deps.channels, datetime.now(UTC), context.deps.zone)
    check_filters(context.principal, callid=call_filter.callid, **asdict(call_filter.calls))
    cursor = context.query.get("cursor")
    page = context.deps.ledger.read(_read_page, call_filter=call_filter, cursor=cursor)
    return _show(context, page, call_filter)


def _search(context: RequestContext, text: str) -> Response:
    """To the call of that callid or reference; else the calls to that number, or of that reference."""
    check_filters(context.principal, find=text)
    found = context.deps.ledger.read(_resolve_search, text=text, context=context)
    if isinstance(found, str):
        return context.redirect(found)
    call_filter = parse_call_filter(found, context.deps.channels, datetime.now(UTC), context.deps.zone)
    if found:
        return context.redirect(context.links.list("calls", **found))
    return _show(context, Page([], None), call_filter, search_text=text)


def _resolve_search(connection: Connection, text: str, context: RequestContext) -> str | dict[str, str]:
    """The page of the one call that is meant, or the filter for several; empty where there is none."""
    holders, links = channels_holding(connection, text), context.links
    if holders:
        return links.call(text, holders[0] if len(holders) == 1 else None)
    matching = find_calls(connection, CallFilter(reference=text), None, 2).items
    if len(matching) == 1:
        return links.call(matching[0].callid, matching[0].channel)
    if matching:
        return {"reference": text}
    may_know = context.principal.full_numbers and find_calls(connection, CallFilter(mobile=text), None, 1).items
    return {"mobile": text} if may_know else {}


def _read_page(connection: Connection, call_filter: CallFilterForm, cursor: str | None) -> Page[Call]:
    if call_filter.callid is None:
        return find_calls(connection, call_filter.calls, cursor, _PAGE_SIZE)
    calls = [
        find_call(connection, call_filter.callid, holder)[1]
        for holder in channels_holding(connection, call_filter.callid)
    ]
    return Page([call for call in calls if matches(call_filter.calls, call.channel, call.kind, call.outcome)], None)


def _show(context: RequestContext, page: Page[Call], call_filter: CallFilterForm, search_text: str = "") -> Response:
    query = {name: context.query[name] for name in FIELDS if name in context.query}
    values: Mapping[str, Any] = {
        "next_cursor": page.next_cursor,
        "calls": [
            (context.view_of(call), context.link_to(call.callid, _channel_if_several(call.channel, context)))
            for call in page.items
        ],
        "call_filter": call_filter,
        "search_text": search_text,
        "query": query,
        "cursor": context.query.get("cursor"),
        "channels": context.deps.channels,
        "callback_urls": context.deps.callback_urls,
        "kinds": list(CallbackKind),
        "outcomes": list(Outcome),
        "ranges": RANGES,
        "codes": {code: failure_reason_text(code, None, context.language) for code in FAILURE_REASONS},
        "exports": _export_links(call_filter, context.links),
        "full_exports": _export_links(call_filter, context.links, numbers="full")
        if context.principal.full_numbers
        else {},
        "reason": partial(_failure_text, context.language),
    }
    return context.render("calls.html", values, 422 if call_filter.errors else 200)


def _channel_if_several(channel: str, context: RequestContext) -> str | None:
    return channel if len(context.deps.channels) > 1 else None


def _failure_text(language: str, call: CallView) -> str:
    return failure_reason_text(call.failure_code, call.failure_reason, language)


def _export_links(call_filter: CallFilterForm, links: Links, **more: str) -> dict[str, str]:
    """The same calls as a file, by the names of its forms; of one callid there is no file."""
    texts = {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in asdict(call_filter.calls).items()
        if value is not None
    }
    forms = {} if call_filter.callid else {name: form for name, form in _FORMATS.items() if _is_installed(form)}
    return {name: links.list(f"exports/calls.{form}", **texts, **more) for name, form in forms.items()}


def _is_installed(form: FileFormat) -> bool:
    try:
        require_extra(form)
    except MissingExtra:
        return False
    return True
