"""Deliveries: what was told to whom, each with all that was tried, and telling it again."""

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import Visit
from answerback.console.routing import Site
from answerback.console.session import safe_next
from answerback.domain.models import Delivery, Role, State
from answerback.errors import NotFound
from answerback.ledger import Page
from answerback.ledger.read.deliveries import DeliveryFilter
from answerback.schemas.calls import DeliveryView, DeliveryWithAttemptsView

_A_PAGE = 50


def routes(site: Site) -> list[Route]:
    """The list, one delivery, and telling it again."""
    return [
        site.page("/deliveries", _list),
        site.page("/deliveries/{id:id}", _show),
        site.action("/deliveries/{id:id}/retry", _retry, Role.OPERATOR),
    ]


async def _list(visit: Visit) -> Response:
    name, state = visit.query.get("endpoint"), visit.query.get("state")
    known = state if state in set(State) else None
    endpoints = await visit.read(visit.given.ledger.endpoints)
    page = await visit.read(_page, visit, name, known)
    told = {
        "section": "endpoints",
        "deliveries": [
            (DeliveryView.of(one, full_numbers=visit.revealed), visit.link_to(one.callid, one.channel))
            for one in page.items
        ],
        "next_cursor": page.next_cursor,
        "endpoints": [endpoint.name for endpoint in endpoints],
        "wanted_endpoint": name,
        "wanted_state": known,
        "states": list(State),
        "cursor": visit.query.get("cursor"),
    }
    return visit.render("deliveries.html", told)


def _page(visit: Visit, name: str | None, state: str | None) -> Page[Delivery]:
    try:
        endpoint_id = None if name is None else visit.given.ledger.endpoint(name).id
    except NotFound:
        return Page([], None)
    wanted = DeliveryFilter(endpoint_id=endpoint_id, state=None if state is None else State(state))
    return visit.given.ledger.deliveries(wanted, visit.query.get("cursor"), _A_PAGE)


async def _show(visit: Visit) -> Response:
    delivery, attempts = await visit.read(visit.given.ledger.delivery, visit.path["id"])
    living = {endpoint.name for endpoint in await visit.read(visit.given.ledger.endpoints)}
    told = {
        "section": "endpoints",
        "delivery": DeliveryWithAttemptsView.with_attempts(delivery, attempts, full_numbers=visit.revealed),
        "call_link": visit.link_to(delivery.callid, delivery.channel),
        "is_living": delivery.endpoint in living,
    }
    return visit.render("delivery.html", told)


async def _retry(visit: Visit) -> Response:
    id_ = visit.path["id"]
    await visit.given.relay.replays.one(visit.actor, id_)
    back = safe_next(visit.form["back"], visit.links) if visit.form.get("back") else visit.links.delivery(id_)
    return visit.redirect(f"{back}{'&' if '?' in back else '?'}done=retried")
