"""Failures: why calls fail, and how often."""

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import RequestContext
from answerback.console.model import chart_data
from answerback.console.model.failure_reasons import count_failure_reasons
from answerback.console.model.filters import filter_context, parse_filter
from answerback.console.routing import PageRouter


def build_routes(router: PageRouter) -> list[Route]:
    return [router.page("/failures", _show)]


def _show(context: RequestContext) -> Response:
    stats_filter, ledger = parse_filter(context), context.deps.ledger
    statistics, before = ledger.statistics(stats_filter.span), ledger.statistics(stats_filter.span_before)
    times = chart_data.time_series(statistics, stats_filter.range)
    values = {
        "total": statistics.total,
        "before": before.total,
        "coded": sum(statistics.codes.values()),
        "failure_reasons": count_failure_reasons(
            statistics, context.language, context.t["cause_unlisted"], before.codes
        ),
        "times": times,
        "trend": chart_data.failure_trend(times),
    }
    return context.render("failures.html", filter_context(stats_filter, context) | values)
