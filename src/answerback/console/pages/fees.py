"""Fees: what was billed against what is due, and the calls where the two differ."""

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import Visit
from answerback.console.model import chart_data
from answerback.console.model.filters import told_of, wanted_of
from answerback.console.routing import Site
from answerback.schemas.calls import DifferingView

_CALLS_A_PAGE = 50


def routes(site: Site) -> list[Route]:
    """The page."""
    return [site.page("/fees", _show)]


async def _show(visit: Visit) -> Response:
    return await visit.read(_page, visit)


def _page(visit: Visit) -> Response:
    wanted, cursor, ledger = wanted_of(visit), visit.query.get("cursor"), visit.given.ledger
    statistics, differing = ledger.statistics(wanted.span), ledger.differing(wanted.span, cursor, _CALLS_A_PAGE)
    times = chart_data.times_of(statistics, wanted.range)
    told = {
        "fees": statistics.fees,
        "total": statistics.total,
        "calls": [
            (DifferingView.of(call, full_numbers=visit.revealed), visit.link_to(call.callid, call.channel))
            for call in differing.items
        ],
        "next_cursor": differing.next_cursor,
        "cursor": cursor,
        "times": times,
        "minutes": chart_data.minutes(times),
    }
    return visit.render("fees.html", told_of(wanted, visit) | told)
