"""The forms that make and change an endpoint; what is unfit is said beside its field."""

from collections.abc import Mapping

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import Visit
from answerback.console.model.endpoint_form import (
    KINDS,
    OUTCOMES,
    EndpointForm,
    UnfitForm,
    changes_of,
    form_of,
    read_form,
    settings_of,
)
from answerback.console.pages.endpoints import show_secret
from answerback.console.routing import Site
from answerback.domain.models import Endpoint, Format, Role
from answerback.errors import Conflict, UnfitEndpoint


def routes(site: Site) -> list[Route]:
    """The forms and what they do; they come before the page of an endpoint, which could be called `new` as well."""
    return [
        site.page("/endpoint/new", _new, Role.OPERATOR),
        site.action("/endpoint/new", _add, Role.OPERATOR),
        site.page("/endpoints/{name}/edit", _edit, Role.OPERATOR),
        site.action("/endpoints/{name}/edit", _change, Role.OPERATOR),
    ]


async def _new(visit: Visit) -> Response:
    visit.actor.require_full_numbers()
    return _fill_in(visit, EndpointForm(channel=visit.given.channels[0]), None)


async def _add(visit: Visit) -> Response:
    form = read_form(visit.forms)
    try:
        settings = settings_of(form, visit.given.channels, is_new=True)
        secret = settings.secret.get_secret_value() if settings.secret is not None else None
        added = await visit.given.relay.endpoints.add(
            visit.actor,
            form.name or None,
            settings.channel,
            settings.definition(),
            enabled=settings.enabled,
            secret=secret,
        )
    except UnfitForm as unfit:
        return _fill_in(visit, form, None, unfit.problems)
    except UnfitEndpoint as unfit:
        return _fill_in(visit, form, None, {unfit.field: str(unfit).removeprefix(f"{unfit.field}: ")})
    except Conflict as conflict:
        return _fill_in(visit, form, None, {"name": str(conflict)})
    return show_secret(visit, added, "added")


async def _edit(visit: Visit) -> Response:
    endpoint = await visit.read(visit.given.ledger.endpoint, visit.path["name"])
    return _fill_in(visit, form_of(endpoint), endpoint)


async def _change(visit: Visit) -> Response:
    endpoint = await visit.read(visit.given.ledger.endpoint, visit.path["name"])
    form = read_form(visit.forms)._replace(name=endpoint.name, enabled=endpoint.enabled, secret="")
    try:
        channel, definition = changes_of(settings_of(form, visit.given.channels, is_new=False), endpoint)
        if channel is not None or definition is not None:
            await visit.given.relay.endpoints.change(visit.actor, endpoint.name, channel, definition)
    except UnfitForm as unfit:
        return _fill_in(visit, form, endpoint, unfit.problems)
    except UnfitEndpoint as unfit:
        return _fill_in(visit, form, endpoint, {unfit.field: str(unfit).removeprefix(f"{unfit.field}: ")})
    return visit.redirect(visit.links.endpoint(endpoint.name), "endpoint_changed")


def _fill_in(
    visit: Visit, form: EndpointForm, endpoint: Endpoint | None, problems: Mapping[str, str] | None = None
) -> Response:
    told = {
        "section": "endpoints",
        "form": form,
        "endpoint": endpoint,
        "problems": problems or {},
        "channels": visit.given.channels,
        "certificates": sorted({*visit.given.certificates, form.certificate} - {""}),
        "formats": list(Format),
        "kinds": KINDS,
        "outcomes": OUTCOMES,
    }
    return visit.render("endpoint_form.html", told, 422 if problems else 200)
