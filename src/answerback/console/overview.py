"""The Overview: what became of the calls of a range, at a glance."""

from functools import partial

from starlette.responses import Response
from starlette.routing import Route

from answerback.console import figures
from answerback.console.causes import causes
from answerback.console.filters import told_of, wanted_of
from answerback.console.site import Site
from answerback.console.visit import Visit
from answerback.console.wellbeing import signs, worst
from answerback.ledger.stats import find_total


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
    times = figures.times_of(statistics, wanted.range)
    told = {
        "statistics": statistics,
        "total": statistics.total,
        "signs": found,
        "tone": worst(found),
        "rate_change": figures.rate_change(statistics.total, before),
        "calls_change": figures.calls_change(statistics.total, before),
        "times": times,
        "trend": figures.trend(times),
        "minutes": figures.minutes(times),
        "shares": figures.outcome_shares(statistics.total),
        "heat": figures.heat(statistics, wanted.range),
        "kinds_of": figures.by_kind(statistics, t),
        "channels_of": figures.by_channel(statistics),
        "carriers_of": figures.by_carrier(statistics, language, t["unknown"]),
        "regions_of": figures.by_region(statistics, language, t),
        "causes": causes(statistics, language, t["cause_unlisted"]),
    }
    return visit.render("overview.html", told_of(wanted, visit) | told)
