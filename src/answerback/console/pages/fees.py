"""Fees: what was billed against what is due, and the calls where the two differ."""

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import RequestContext
from answerback.console.model import chart_data
from answerback.console.model.filters import filter_context, parse_filter
from answerback.console.routing import PageRouter
from answerback.schemas.calls import FeeMismatchView

_PAGE_SIZE = 50


def build_routes(router: PageRouter) -> list[Route]:
    return [router.page("/fees", _show)]


def _show(context: RequestContext) -> Response:
    stats_filter, cursor, ledger = parse_filter(context), context.query.get("cursor"), context.deps.ledger
    statistics, differing = (
        ledger.statistics(stats_filter.span),
        ledger.fee_mismatches(stats_filter.span, cursor, _PAGE_SIZE),
    )
    times = chart_data.time_series(statistics, stats_filter.range)
    values = {
        "fees": statistics.fees,
        "total": statistics.total,
        "calls": [
            (FeeMismatchView.of(call, full_numbers=context.unmasked), context.link_to(call.callid, call.channel))
            for call in differing.items
        ],
        "next_cursor": differing.next_cursor,
        "cursor": cursor,
        "times": times,
        "minutes": chart_data.billed_minutes_trend(times),
    }
    return context.render("fees.html", filter_context(stats_filter, context) | values)
