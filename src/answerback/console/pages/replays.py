"""Replays to an endpoint: of its dead deliveries, or of everything about the calls of some days; and their progress."""

from datetime import UTC, datetime

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import RequestContext
from answerback.console.pages.endpoints import show_endpoint
from answerback.console.routing import PageRouter
from answerback.domain.models import Outcome, Role
from answerback.ledger.read.calls import CallFilter

_REFRESH_S = 1


def build_routes(router: PageRouter) -> list[Route]:
    return [
        router.action("/endpoints/{name}/replay-dead", _replay_dead, Role.OPERATOR),
        router.action("/endpoints/{name}/replay", _replay_calls, Role.OPERATOR),
        router.page("/endpoints/{name}/replays/{id:id}", _progress),
    ]


async def _replay_dead(context: RequestContext) -> Response:
    relay, name = context.deps.relay, context.path["name"]
    replay = await relay.replays.replay_dead(context.actor, await relay.endpoints.find_current(name))
    return context.redirect(context.links.endpoint(name, "replays", str(replay.id)))


async def _replay_calls(context: RequestContext) -> Response:
    relay, name = context.deps.relay, context.path["name"]
    problems = {}
    moments: dict[str, datetime | None] = {}
    for field in ("since", "until"):
        moments[field] = _parse_time(context, context.form.get(field, ""))
        if moments[field] is None:
            problems[field] = context.t["replay_invalid_time"]
    since, until = moments["since"], moments["until"]
    if since is not None and until is not None and until <= since:
        problems["until"] = context.t["replay_invalid_order"]
    if problems:
        return await context.run_in_thread(show_endpoint, context, problems=problems, status=422)
    outcome = context.form.get("outcome")
    call_filter = CallFilter(since=since, until=until, outcome=Outcome(outcome) if outcome in set(Outcome) else None)
    endpoint = await relay.endpoints.find_current(name)
    replay = await relay.replays.replay_calls(context.actor, endpoint, call_filter)
    return context.redirect(context.links.endpoint(name, "replays", str(replay.id)))


def _parse_time(context: RequestContext, text: str) -> datetime | None:
    """A time as a browser's field has it, by the console's clock; None where it is none."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=context.deps.zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


async def _progress(context: RequestContext) -> Response:
    replay = context.deps.relay.replays.find(context.path["id"])
    values = {"section": "endpoints", "replay": replay, "refresh_s": _REFRESH_S if replay.status == "running" else None}
    return context.render("replay.html", values)
