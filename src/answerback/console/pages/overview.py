"""The Overview: what became of the calls of a range, at a glance."""

from functools import partial

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import RequestContext
from answerback.console.model import chart_data
from answerback.console.model.failure_reasons import count_failure_reasons
from answerback.console.model.filters import filter_context, parse_filter
from answerback.console.model.system_status import run_checks, worst_tone
from answerback.console.routing import PageRouter
from answerback.ledger.read.statistics import find_total


def build_routes(router: PageRouter) -> list[Route]:
    return [router.page("", _show)]


def _show(context: RequestContext) -> Response:
    """Read and render, all in one thread: several would take the interpreter from each other."""
    stats_filter, deps = parse_filter(context), context.deps
    t, language = context.t, context.language
    statistics = deps.ledger.statistics(stats_filter.span)
    before = deps.ledger.read(partial(find_total, hour_range=stats_filter.span_before))
    status_checks = run_checks(deps)
    times = chart_data.time_series(statistics, stats_filter.range)
    values = {
        "statistics": statistics,
        "total": statistics.total,
        "checks": status_checks,
        "tone": worst_tone(status_checks),
        "rate_change": chart_data.rate_change(statistics.total, before),
        "calls_change": chart_data.calls_change(statistics.total, before),
        "times": times,
        "trend": chart_data.outcome_trend(times),
        "minutes": chart_data.billed_minutes_trend(times),
        "shares": chart_data.outcome_shares(statistics.total),
        "heat": chart_data.build_heatmap(statistics, stats_filter.range),
        "kinds_of": chart_data.kind_breakdown(statistics, t),
        "channels_of": chart_data.channel_breakdown(statistics),
        "carriers_of": chart_data.carrier_breakdown(statistics, language, t["unknown"]),
        "regions_of": chart_data.region_breakdown(statistics, language, t),
        "failure_reasons": count_failure_reasons(statistics, language, t["cause_unlisted"]),
    }
    return context.render("overview.html", filter_context(stats_filter, context) | values)
