"""Endpoints: who is told, how each does, and what can be done with it."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import partial

from sqlalchemy.engine import Connection
from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import Visit
from answerback.console.model.endpoint_health import EndpointRow, Health, row_of
from answerback.console.routing import Site
from answerback.domain.models import Endpoint, Role
from answerback.errors import Conflict
from answerback.ledger.read.deliveries import Owed
from answerback.ledger.read.recent_attempts import recent_attempts
from answerback.relay.sender import Outcome as Tried
from answerback.schemas.calls import TestView

_RECENT = 60
_ROUTE = "/endpoints/{name}"


def routes(site: Site) -> list[Route]:
    """The list, one endpoint, and what is done with it at once."""
    return [
        site.page("/endpoints", _list),
        site.page(_ROUTE, _show),
        site.action(f"{_ROUTE}/test", _test, Role.OPERATOR),
        site.action(f"{_ROUTE}/enable", partial(_switch, on=True), Role.OPERATOR),
        site.action(f"{_ROUTE}/disable", partial(_switch, on=False), Role.OPERATOR),
        site.action(f"{_ROUTE}/rotate-secret", _rotate, Role.OPERATOR),
        site.page(f"{_ROUTE}/remove", _ask_to_remove, Role.OPERATOR),
        site.action(f"{_ROUTE}/remove", _remove, Role.OPERATOR),
    ]


async def _list(visit: Visit) -> Response:
    rows = await visit.read(_rows, visit, await visit.read(visit.given.ledger.endpoints))
    told = {"rows": rows, "active": visit.given.relay.manages}
    return visit.render("endpoints.html", told)


async def _show(visit: Visit) -> Response:
    return await show_endpoint(visit)


async def show_endpoint(
    visit: Visit, tried: Tried | None = None, problems: Mapping[str, str] | None = None, status: int = 200
) -> Response:
    """The page of the endpoint that the address names; with what a test came to, or what is wrong with a form."""
    endpoint = await visit.read(visit.given.ledger.endpoint, visit.path["name"])
    (row,) = await visit.read(_rows, visit, [endpoint])
    told = {
        "row": row,
        "endpoint": row.endpoint,
        "tried": tried and TestView.of(tried, full_numbers=visit.revealed),
        "problems": problems or {},
        "form": visit.form,
        "active": visit.given.relay.manages,
        "healths": Health,
    }
    return visit.render("endpoint.html", told, status)


def _rows(visit: Visit, endpoints: Collection[Endpoint]) -> list[EndpointRow]:
    def look(connection: Connection) -> list[EndpointRow]:
        full_url = visit.may(Role.OPERATOR)
        recent = recent_attempts(connection, [endpoint.id for endpoint in endpoints], _RECENT)
        return [row_of(one, owed.get(one.id, Owed()), recent[one.id], now, full_url=full_url) for one in endpoints]

    owed, now = visit.given.ledger.owed(), datetime.now(UTC)
    return visit.given.ledger.read(look)


async def _test(visit: Visit) -> Response:
    tried = await visit.given.relay.endpoints.test(visit.actor, visit.path["name"])
    return await show_endpoint(visit, tried)


async def _switch(visit: Visit, *, on: bool) -> Response:
    name = visit.path["name"]
    await visit.given.relay.endpoints.switch(visit.actor, name, on=on)
    return visit.redirect(visit.links.endpoint(name), "endpoint_enabled" if on else "endpoint_disabled")


async def _rotate(visit: Visit) -> Response:
    name = visit.path["name"]
    rotated = await visit.given.relay.endpoints.rotate_secret(visit.actor, name)
    return show_secret(visit, rotated, "rotated")


def show_secret(visit: Visit, endpoint: Endpoint, how: str) -> Response:
    """The one page that shows a secret: in the answer to the form that made it. `how`: added, rotated."""
    return visit.render("endpoint_secret.html", {"endpoint": endpoint, "how": how})


async def _ask_to_remove(visit: Visit) -> Response:
    endpoint = await visit.read(visit.given.ledger.endpoint, visit.path["name"])
    owed = (await visit.read(visit.given.ledger.owed)).get(endpoint.id, Owed())
    return visit.render("endpoint_remove.html", {"endpoint": endpoint, "owed": owed})


async def _remove(visit: Visit) -> Response:
    name = visit.path["name"]
    if visit.form.get("sure") != "yes":
        raise Conflict(visit.t["endpoint_remove_unsure"])
    await visit.given.relay.endpoints.remove(visit.actor, name)
    return visit.redirect(f"{visit.links.console}/endpoints", "endpoint_removed")
