"""Telling an endpoint again: what is dead, or everything about the calls of some days; and how far that is."""

from datetime import UTC, datetime

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import Visit
from answerback.console.pages.endpoints import show_endpoint
from answerback.console.routing import Site
from answerback.domain.models import Outcome, Role
from answerback.ledger.read.calls import CallFilter

_REFRESH_S = 1


def routes(site: Site) -> list[Route]:
    """The two forms on an endpoint's page, and the progress."""
    return [
        site.action("/endpoints/{name}/replay-dead", _replay_dead, Role.OPERATOR),
        site.action("/endpoints/{name}/replay", _replay_calls, Role.OPERATOR),
        site.page("/endpoints/{name}/replays/{id:id}", _progress),
    ]


async def _replay_dead(visit: Visit) -> Response:
    relay, name = visit.given.relay, visit.path["name"]
    await relay.endpoints.refresh()
    replay = await relay.replays.dead(visit.actor, relay.endpoints.find(name))
    return visit.redirect(visit.links.endpoint(name, "replays", str(replay.id)))


async def _replay_calls(visit: Visit) -> Response:
    relay, name = visit.given.relay, visit.path["name"]
    problems = {}
    moments: dict[str, datetime | None] = {}
    for field in ("since", "until"):
        moments[field] = _moment(visit, visit.form.get(field, ""))
        if moments[field] is None:
            problems[field] = visit.t["replay_unfit_time"]
    since, until = moments["since"], moments["until"]
    if since is not None and until is not None and until <= since:
        problems["until"] = visit.t["replay_unfit_order"]
    if problems:
        return await show_endpoint(visit, problems=problems, status=422)
    outcome = visit.form.get("outcome")
    wanted = CallFilter(since=since, until=until, outcome=Outcome(outcome) if outcome in set(Outcome) else None)
    await relay.endpoints.refresh()
    replay = await relay.replays.calls(visit.actor, relay.endpoints.find(name), wanted)
    return visit.redirect(visit.links.endpoint(name, "replays", str(replay.id)))


def _moment(visit: Visit, text: str) -> datetime | None:
    """A time as a browser's field has it, by the console's clock; None where it is none."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=visit.given.zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


async def _progress(visit: Visit) -> Response:
    replay = visit.given.relay.replays.find(visit.path["id"])
    told = {
        "section": "endpoints",
        "replay": replay,
        "refresh_s": _REFRESH_S if replay.stage == "running" else None,
    }
    return visit.render("replay.html", told)
