"""The pages of statistics: Overview, Failures and Fees."""

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import RequestContext
from answerback.console.model import chart_data
from answerback.console.model.failure_reasons import count_failure_reasons
from answerback.console.model.filters import StatsFilter, filter_context, parse_filter
from answerback.console.model.system_status import check_system, worst_tone
from answerback.console.pages.first_run import is_first_run, show_first_run
from answerback.console.routing import PageRouter
from answerback.domain.statistics import Statistics
from answerback.ledger.read.statistics import find_total
from answerback.schemas.calls import FeeMismatchView

_PAGE_SIZE = 50


def build_routes(router: PageRouter) -> list[Route]:
    return [router.page("", _show_overview), router.page("/failures", _show_failures), router.page("/fees", _show_fees)]


def _show_overview(context: RequestContext) -> Response:
    """What became of the calls of a range. Read and rendered in one thread: several would take the interpreter from each other."""
    stats_filter, deps = parse_filter(context), context.deps
    t, language = context.t, context.language
    statistics = deps.ledger.statistics(stats_filter.span)
    if not statistics.total.calls and is_first_run(context):
        return show_first_run(context)
    before = deps.ledger.read(find_total, hour_range=stats_filter.span_before)
    status_checks = check_system(deps)
    times = chart_data.time_series(statistics, stats_filter.range)
    values = {
        "statistics": statistics,
        "checks": status_checks,
        "tone": worst_tone(status_checks),
        "firing": [alert for alert in deps.alerts.states() if alert.firing],
        "rate_change": chart_data.rate_change(statistics.total, before),
        "calls_change": chart_data.calls_change(statistics.total, before),
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
    return _render("overview.html", context, stats_filter, statistics, times, values)


def _show_failures(context: RequestContext) -> Response:
    """Why calls fail, and how often."""
    stats_filter, ledger = parse_filter(context), context.deps.ledger
    statistics, before = ledger.statistics(stats_filter.span), ledger.statistics(stats_filter.span_before)
    times = chart_data.time_series(statistics, stats_filter.range)
    values = {
        "before": before.total,
        "coded": sum(statistics.codes.values()),
        "failure_reasons": count_failure_reasons(
            statistics, context.language, context.t["cause_unlisted"], before.codes
        ),
        "trend": chart_data.failure_trend(times),
    }
    return _render("failures.html", context, stats_filter, statistics, times, values)


def _show_fees(context: RequestContext) -> Response:
    """What was billed against what is due, and the calls where the two differ."""
    stats_filter, cursor, ledger = parse_filter(context), context.query.get("cursor"), context.deps.ledger
    statistics = ledger.statistics(stats_filter.span)
    mismatches = ledger.fee_mismatches(stats_filter.span, cursor, _PAGE_SIZE)
    times = chart_data.time_series(statistics, stats_filter.range)
    values = {
        "fees": statistics.fees,
        "calls": [
            (FeeMismatchView.of(call, full_numbers=context.unmasked), context.link_to(call.callid, call.channel))
            for call in mismatches.items
        ],
        "next_cursor": mismatches.next_cursor,
        "cursor": cursor,
        "minutes": chart_data.billed_minutes_trend(times),
    }
    return _render("fees.html", context, stats_filter, statistics, times, values)


def _render(
    template: str,
    context: RequestContext,
    stats_filter: StatsFilter,
    statistics: Statistics,
    times: chart_data.Series,
    values: dict[str, Any],
) -> Response:
    shared = {"total": statistics.total, "times": times}
    return context.render(template, filter_context(stats_filter, context) | shared | values)
