"""Endpoints: the list, the health of each, and what can be done with it."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import partial

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import RequestContext
from answerback.console.model.endpoint_health import EndpointHealth, EndpointRow, build_endpoint_row
from answerback.console.routing import PageRouter
from answerback.domain.endpoints import Endpoint, EndpointTest
from answerback.domain.models import Role
from answerback.errors import StateConflict
from answerback.ledger.read.recent_attempts import recent_attempts
from answerback.schemas.endpoints import EndpointTestView

_RECENT_ATTEMPTS = 60
_ROUTE = "/endpoints/{name}"


def build_routes(router: PageRouter) -> list[Route]:
    return [
        router.page("/endpoints", _list),
        router.page(_ROUTE, show_endpoint),
        router.action(f"{_ROUTE}/test", _test, Role.OPERATOR),
        router.action(f"{_ROUTE}/enable", partial(_set_enabled, on=True), Role.OPERATOR),
        router.action(f"{_ROUTE}/disable", partial(_set_enabled, on=False), Role.OPERATOR),
        router.action(f"{_ROUTE}/rotate-secret", _rotate_secret, Role.OPERATOR),
        router.page(f"{_ROUTE}/remove", _confirm_removal, Role.OPERATOR),
        router.action(f"{_ROUTE}/remove", _remove, Role.OPERATOR),
    ]


def _list(context: RequestContext) -> Response:
    rows = _read_rows(context, context.deps.ledger.endpoints())
    values = {"rows": rows, "active": context.deps.relay.can_manage}
    return context.render("endpoints.html", values)


def show_endpoint(
    context: RequestContext,
    test_result: EndpointTest | None = None,
    problems: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    """The page of the endpoint that the address names; with what a test came to, or what is wrong with a form. Blocks."""
    (row,) = _read_rows(context, [context.deps.ledger.endpoint(context.path["name"])])
    values = {
        "row": row,
        "endpoint": row.endpoint,
        "test_result": test_result and EndpointTestView.of(test_result, full_numbers=context.unmasked),
        "problems": problems or {},
        "form": context.form,
        "active": context.deps.relay.can_manage,
        "EndpointHealth": EndpointHealth,
    }
    return context.render("endpoint.html", values, status)


def _read_rows(context: RequestContext, endpoints: Collection[Endpoint]) -> list[EndpointRow]:
    ledger, now, full_url = context.deps.ledger, datetime.now(UTC), context.has_role(Role.OPERATOR)
    backlog = ledger.backlog()
    recent = ledger.read(recent_attempts, [endpoint.id for endpoint in endpoints], _RECENT_ATTEMPTS)
    return [build_endpoint_row(one, backlog[one.id], recent[one.id], now, full_url=full_url) for one in endpoints]


async def _test(context: RequestContext) -> Response:
    test_result = await context.deps.relay.endpoints.test(context.actor, context.path["name"])
    return await context.run_in_thread(show_endpoint, context, test_result)


async def _set_enabled(context: RequestContext, *, on: bool) -> Response:
    name = context.path["name"]
    await context.deps.relay.endpoints.set_enabled(context.actor, name, enabled=on)
    return context.redirect(context.links.endpoint(name), "endpoint_enabled" if on else "endpoint_disabled")


async def _rotate_secret(context: RequestContext) -> Response:
    name = context.path["name"]
    rotated = await context.deps.relay.endpoints.rotate_secret(context.actor, name)
    return show_secret(context, rotated, "rotated")


def show_secret(context: RequestContext, endpoint: Endpoint, how: str) -> Response:
    """The one page that shows a secret: in the answer to the form that made it. `how`: added, rotated."""
    return context.render("endpoint_secret.html", {"endpoint": endpoint, "how": how})


def _confirm_removal(context: RequestContext) -> Response:
    endpoint = context.deps.ledger.endpoint(context.path["name"])
    backlog = context.deps.ledger.backlog()[endpoint.id]
    return context.render("endpoint_remove.html", {"endpoint": endpoint, "backlog": backlog})


async def _remove(context: RequestContext) -> Response:
    name = context.path["name"]
    if context.form.get("sure") != "yes":
        raise StateConflict(context.t["endpoint_remove_unsure"])
    await context.deps.relay.endpoints.remove(context.actor, name)
    return context.redirect(f"{context.links.console}/endpoints", "endpoint_removed")
