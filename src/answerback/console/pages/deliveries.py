"""Deliveries: the list, each with its attempts, and replaying it."""

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import RequestContext
from answerback.console.routing import PageRouter
from answerback.console.session import safe_redirect
from answerback.domain.endpoints import Delivery, DeliveryState
from answerback.domain.models import Page, Role
from answerback.errors import ResourceNotFound
from answerback.ledger.read.deliveries import DeliveryFilter
from answerback.schemas.deliveries import DeliveryView, DeliveryWithAttemptsView

_PAGE_SIZE = 50


def build_routes(router: PageRouter) -> list[Route]:
    return [
        router.page("/deliveries", _list),
        router.page("/deliveries/{id:id}", _show),
        router.action("/deliveries/{id:id}/replay", _retry, Role.OPERATOR),
    ]


def _list(context: RequestContext) -> Response:
    name, state = context.query.get("endpoint"), context.query.get("state")
    known = state if state in set(DeliveryState) else None
    page = _read_page(context, name, known)
    values = {
        "section": "endpoints",
        "deliveries": [
            (DeliveryView.of(one, full_numbers=context.unmasked), context.link_to(one.callid, one.channel))
            for one in page.items
        ],
        "next_cursor": page.next_cursor,
        "endpoints": [endpoint.name for endpoint in context.deps.ledger.endpoints()],
        "selected_endpoint": name,
        "selected_state": known,
        "states": list(DeliveryState),
        "cursor": context.query.get("cursor"),
    }
    return context.render("deliveries.html", values)


def _read_page(context: RequestContext, name: str | None, state: str | None) -> Page[Delivery]:
    try:
        endpoint_id = None if name is None else context.deps.ledger.endpoint(name).id
    except ResourceNotFound:
        return Page([], None)
    delivery_filter = DeliveryFilter(endpoint_id=endpoint_id, state=None if state is None else DeliveryState(state))
    return context.deps.ledger.deliveries(delivery_filter, context.query.get("cursor"), _PAGE_SIZE)


def _show(context: RequestContext) -> Response:
    delivery, attempts = context.deps.ledger.delivery(context.path["id"])
    existing = {endpoint.name for endpoint in context.deps.ledger.endpoints()}
    values = {
        "section": "endpoints",
        "delivery": DeliveryWithAttemptsView.with_attempts(delivery, attempts, full_numbers=context.unmasked),
        "call_link": context.link_to(delivery.callid, delivery.channel),
        "endpoint_exists": delivery.endpoint in existing,
    }
    return context.render("delivery.html", values)


async def _retry(context: RequestContext) -> Response:
    id_ = context.path["id"]
    await context.deps.relay.replays.replay_delivery(context.actor, id_)
    back = (
        safe_redirect(context.form["back"], context.links) if context.form.get("back") else context.links.delivery(id_)
    )
    return context.redirect(f"{back}{'&' if '?' in back else '?'}done=retried")
