"""The forms that make and change an endpoint; what is invalid is said beside its field."""

from collections.abc import Mapping

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import RequestContext
from answerback.console.model.endpoint_form import (
    KINDS,
    OUTCOMES,
    EndpointForm,
    InvalidForm,
    diff_settings,
    form_from_endpoint,
    parse_form,
    validate_form,
)
from answerback.console.pages.endpoints import show_secret
from answerback.console.routing import PageRouter
from answerback.domain.endpoints import Endpoint, PayloadFormat
from answerback.domain.models import Role
from answerback.errors import InvalidEndpoint, StateConflict


def build_routes(router: PageRouter) -> list[Route]:
    """The forms and what they do; they come before the page of an endpoint, which could be called `new` as well."""
    return [
        router.page("/endpoint/new", _show_new, Role.OPERATOR),
        router.action("/endpoint/new", _add, Role.OPERATOR),
        router.page("/endpoints/{name}/edit", _show_edit, Role.OPERATOR),
        router.action("/endpoints/{name}/edit", _update, Role.OPERATOR),
    ]


async def _show_new(context: RequestContext) -> Response:
    context.actor.require_full_numbers()
    return _render_form(context, EndpointForm(channel=context.deps.channels[0]), None)


async def _add(context: RequestContext) -> Response:
    form = parse_form(context.form_values)
    try:
        settings = validate_form(form, context.deps.channels, None)
        secret = settings.secret.get_secret_value() if settings.secret is not None else None
        added = await context.deps.relay.endpoints.add(
            context.actor,
            form.name or None,
            settings.channel,
            settings.endpoint_config(),
            enabled=settings.enabled,
            secret=secret,
        )
    except InvalidForm as invalid:
        return _render_form(context, form, None, invalid.problems)
    except InvalidEndpoint as invalid:
        return _render_form(context, form, None, {invalid.field: str(invalid).removeprefix(f"{invalid.field}: ")})
    except StateConflict as conflict:
        return _render_form(context, form, None, {"name": str(conflict)})
    return show_secret(context, added, "added")


def _show_edit(context: RequestContext) -> Response:
    endpoint = context.deps.ledger.endpoint(context.path["name"])
    return _render_form(context, form_from_endpoint(endpoint), endpoint)


async def _update(context: RequestContext) -> Response:
    endpoint = await context.run_in_thread(context.deps.ledger.endpoint, context.path["name"])
    form = parse_form(context.form_values)._replace(name=endpoint.name, enabled=endpoint.enabled, secret="")
    try:
        channel, config = diff_settings(validate_form(form, context.deps.channels, endpoint), endpoint)
        if channel is not None or config is not None:
            await context.deps.relay.endpoints.change(context.actor, endpoint.name, channel, config)
    except InvalidForm as invalid:
        return _render_form(context, form, endpoint, invalid.problems)
    except InvalidEndpoint as invalid:
        return _render_form(context, form, endpoint, {invalid.field: str(invalid).removeprefix(f"{invalid.field}: ")})
    return context.redirect(context.links.endpoint(endpoint.name), "endpoint_changed")


def _render_form(
    context: RequestContext, form: EndpointForm, endpoint: Endpoint | None, problems: Mapping[str, str] | None = None
) -> Response:
    values = {
        "section": "endpoints",
        "form": form,
        "endpoint": endpoint,
        "problems": problems or {},
        "channels": context.deps.channels,
        "certificates": sorted({*context.deps.certificates, form.certificate} - {""}),
        "formats": list(PayloadFormat),
        "kinds": KINDS,
        "outcomes": OUTCOMES,
    }
    return context.render("endpoint_form.html", values, 422 if problems else 200)
