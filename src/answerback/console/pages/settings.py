"""Settings: the callback URLs to paste, who has a key, what watches, who did what, and how the gateway is set up."""

from importlib.metadata import version
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from answerback.auth.api_keys import ADMIN, draft_key, unfit_key_name
from answerback.console.context import Visit
from answerback.console.dependencies import Given
from answerback.console.routing import Site
from answerback.domain.models import AlertState, ApiKey, Role
from answerback.errors import Conflict, UnfitEndpoint
from answerback.ledger import Page
from answerback.ledger.admin.audit import AuditEvent
from answerback.ledger.commands import CreateKey, RevokeKey

_EVENTS_A_PAGE = 20
_HIDDEN = "••••••••"
_EMPTY = {"name": "", "role": "", "full_numbers": ""}


def routes(site: Site) -> list[Route]:
    """The page, and what its forms do."""
    return [
        site.page("/settings", _show),
        site.action("/settings/keys", _create, role=Role.ADMIN),
        site.action("/settings/keys/{name}/revoke", _revoke, role=Role.ADMIN),
    ]


async def _show(visit: Visit) -> Response:
    return await _page(visit, {})


async def _create(visit: Visit) -> Response:
    """Make a key and show it, this once: the page is the form's own answer."""
    try:
        key, draft = draft_key(*_named(visit), full_numbers=visit.form.get("full_numbers") == "on")
        made = await visit.given.writer.ask(CreateKey(visit.actor, draft))
    except UnfitEndpoint as error:
        return await _page(visit, {"problem": str(error), "draft": {**_EMPTY, **visit.form}}, 422)
    except Conflict as error:
        return await _page(visit, {"problem": str(error), "draft": {**_EMPTY, **visit.form}}, 409)
    return await _page(visit, {"made": made, "made_key": key})


async def _revoke(visit: Visit) -> Response:
    await visit.given.writer.ask(RevokeKey(visit.actor, visit.path["name"]))
    return visit.redirect(visit.links.list("settings"), done="key_revoked")


def _named(visit: Visit) -> tuple[str, Role]:
    """Name and role of the key that the form asks for. Raises UnfitEndpoint."""
    name, role = visit.form.get("name", ""), visit.form.get("role", "")
    if problem := unfit_key_name(name):
        raise UnfitEndpoint("name", problem)
    if role not in set(Role):
        raise UnfitEndpoint("role", f"expected one of {', '.join(Role)}")
    return name, Role(role)


async def _page(visit: Visit, told: dict[str, Any], status: int = 200) -> Response:
    given, is_admin = visit.given, visit.may(Role.ADMIN)
    cursor = visit.query.get("cursor")
    keys, events, alerts = await visit.read(_look, given, cursor, is_admin=is_admin)
    facts = {
        "is_open": any(url == _without_token(url) for url in given.callback_urls.values()),
        "urls": {name: url if is_admin else _without_token(url) for name, url in given.callback_urls.items()},
        "keys": keys,
        "events": events,
        "cursor": cursor,
        "alerts": alerts,
        "roles": list(Role),
        "admin_name": ADMIN,
        "version": version("answerback"),
        "given": given,
        "problem": None,
        "draft": _EMPTY,
        "made": None,
    }
    return visit.render("settings.html", facts | told, status)


def _look(
    given: Given, cursor: str | None, *, is_admin: bool
) -> tuple[list[ApiKey], Page[AuditEvent], list[AlertState]]:
    """Keys and audit events for the administrator, alerts for everybody. Raises InvalidCursor."""
    if not is_admin:
        return [], Page([], None), given.alerts.states()
    return given.ledger.keys(), given.ledger.audit_events(cursor, _EVENTS_A_PAGE), given.alerts.states()


def _without_token(url: str) -> str:
    """A callback URL without the secret that it ends with, if it does."""
    head, path, token = url.partition("/voice/callback/")
    return f"{head}{path}{_HIDDEN}" if token else url
