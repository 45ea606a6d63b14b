"""Settings: the callback URLs to paste, who has a key, who did what, and how the gateway is set up."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from answerback.auth.api_keys import ADMIN, draft_api_key, validate_key_name
from answerback.console.context import RequestContext
from answerback.console.dependencies import ConsoleDependencies
from answerback.console.model.callback_urls import show_callback_urls
from answerback.console.routing import PageRouter
from answerback.domain.models import ApiKey, Page, Role
from answerback.errors import InvalidEndpoint, StateConflict
from answerback.ledger.admin.audit import AuditEvent
from answerback.ledger.commands import CreateKey, RevokeKey

_PAGE_SIZE = 20
_EMPTY_DRAFT = {"name": "", "role": "", "full_numbers": ""}


def build_routes(router: PageRouter) -> list[Route]:
    return [
        router.page("/settings", _show),
        router.action("/settings/keys", _create, role=Role.ADMIN),
        router.action("/settings/keys/{name}/revoke", _revoke, role=Role.ADMIN),
    ]


async def _create(context: RequestContext) -> Response:
    """Make a key and show it, this once: the page is the form's own answer."""
    try:
        key, draft = draft_api_key(*_parse_new_key(context), full_numbers=context.form.get("full_numbers") == "on")
        created = await context.deps.ledger_client.execute(CreateKey(context.actor, draft))
    except InvalidEndpoint as error:
        return await _show(context, {"problem": str(error), "draft": {**_EMPTY_DRAFT, **context.form}}, 422)
    except StateConflict as error:
        return await _show(context, {"problem": str(error), "draft": {**_EMPTY_DRAFT, **context.form}}, 409)
    return await _show(context, {"created": created, "created_key": key})


async def _revoke(context: RequestContext) -> Response:
    await context.deps.ledger_client.execute(RevokeKey(context.actor, context.path["name"]))
    return context.redirect(context.links.list("settings"), done="key_revoked")


def _parse_new_key(context: RequestContext) -> tuple[str, Role]:
    """Name and role of the key that the form asks for. Raises InvalidEndpoint."""
    name, role = context.form.get("name", ""), context.form.get("role", "")
    if problem := validate_key_name(name):
        raise InvalidEndpoint("name", problem)
    if role not in set(Role):
        raise InvalidEndpoint("role", f"expected one of {', '.join(Role)}")
    return name, Role(role)


async def _show(context: RequestContext, values: Mapping[str, Any] = {}, status: int = 200) -> Response:
    deps, is_admin = context.deps, context.has_role(Role.ADMIN)
    cursor = context.query.get("cursor")
    keys, events = await context.run_in_thread(_read_settings, deps, cursor, is_admin=is_admin)
    facts = {
        "urls": show_callback_urls(deps.callback_urls, is_admin=is_admin),
        "keys": keys,
        "events": events,
        "cursor": cursor,
        "roles": list(Role),
        "admin_name": ADMIN,
        "version": version("answerback"),
        "deps": deps,
        "problem": None,
        "draft": _EMPTY_DRAFT,
        "created": None,
    }
    return context.render("settings.html", {**facts, **values}, status)


def _read_settings(
    deps: ConsoleDependencies, cursor: str | None, *, is_admin: bool
) -> tuple[list[ApiKey], Page[AuditEvent]]:
    """Keys and audit events, for the administrator. Raises InvalidCursor."""
    if not is_admin:
        return [], Page([], None)
    return deps.ledger.keys(), deps.ledger.audit_events(cursor, _PAGE_SIZE)
