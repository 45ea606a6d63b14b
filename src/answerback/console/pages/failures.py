"""Failures: why calls fail, and how often."""

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import Visit
from answerback.console.model import chart_data
from answerback.console.model.failure_reasons import causes
from answerback.console.model.filters import told_of, wanted_of
from answerback.console.routing import Site


def routes(site: Site) -> list[Route]:
    """The page."""
    return [site.page("/failures", _show)]


async def _show(visit: Visit) -> Response:
    return await visit.read(_page, visit)


def _page(visit: Visit) -> Response:
    wanted, ledger = wanted_of(visit), visit.given.ledger
    statistics, before = ledger.statistics(wanted.span), ledger.statistics(wanted.span_before)
    times = chart_data.times_of(statistics, wanted.range)
    told = {
        "total": statistics.total,
        "before": before.total,
        "coded": sum(statistics.codes.values()),
        "causes": causes(statistics, visit.language, visit.t["cause_unlisted"], before.codes),
        "times": times,
        "trend": chart_data.misses(times),
    }
    return visit.render("failures.html", told_of(wanted, visit) | told)
