"""The Overview: what became of the calls of a range, at a glance."""

from functools import partial

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import Visit
from answerback.console.model import chart_data
from answerback.console.model.failure_reasons import causes
from answerback.console.model.filters import told_of, wanted_of
from answerback.console.model.system_status import signs, worst
from answerback.console.routing import Site
from answerback.ledger.read.statistics import find_total


def routes(site: Site) -> list[Route]:
    """The page."""
    return [site.page("", _show)]


async def _show(visit: Visit) -> Response:
    return await visit.read(_page, visit)


def _page(visit: Visit) -> Response:
    """Read and render, all in one thread: several would take the interpreter from each other."""
    wanted, given = wanted_of(visit), visit.given
    t, language = visit.t, visit.language
    statistics = given.ledger.statistics(wanted.span)
    before = given.ledger.read(partial(find_total, span=wanted.span_before))
    found = signs(given)
    times = chart_data.times_of(statistics, wanted.range)
    told = {
        "statistics": statistics,
        "total": statistics.total,
        "signs": found,
        "tone": worst(found),
        "rate_change": chart_data.rate_change(statistics.total, before),
        "calls_change": chart_data.calls_change(statistics.total, before),
        "times": times,
        "trend": chart_data.trend(times),
        "minutes": chart_data.minutes(times),
        "shares": chart_data.outcome_shares(statistics.total),
        "heat": chart_data.heat(statistics, wanted.range),
        "kinds_of": chart_data.by_kind(statistics, t),
        "channels_of": chart_data.by_channel(statistics),
        "carriers_of": chart_data.by_carrier(statistics, language, t["unknown"]),
        "regions_of": chart_data.by_region(statistics, language, t),
        "causes": causes(statistics, language, t["cause_unlisted"]),
    }
    return visit.render("overview.html", told_of(wanted, visit) | told)
