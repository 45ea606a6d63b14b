"""The quarantine: bodies that were no callbacks; each can be seen, read once more, and thrown away."""

import time
from typing import NamedTuple

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import Visit
from answerback.console.model.bodies import body_of
from answerback.console.routing import Site
from answerback.domain.models import Role
from answerback.errors import NotFound
from answerback.ledger.commands import DropQuarantined, Requeue
from answerback.ledger.read.calls import id_of
from answerback.schemas.calls import QuarantinedBodyView, QuarantinedView, RetriedView

_A_PAGE = 50
_LONGEST_S = 4.0  # a browser waits for the answer; what is left goes on with another press


class Retried(NamedTuple):
    """What became of bodies that were read once more; `rest_after` is the last id looked at, if there are more."""

    looked_at: int
    taken: int
    refused: int
    rest_after: int | None


def routes(site: Site) -> list[Route]:
    """The list, one body, and what can be done with them."""
    return [
        site.page("/quarantine", _list),
        site.page("/quarantine/{id:id}", _show),
        site.action("/quarantine/{id:id}", _reveal),
        site.action("/quarantine/retry", _retry_all, Role.OPERATOR),
        site.action("/quarantine/drop", _drop, Role.OPERATOR),
        site.action("/quarantine/{id:id}/retry", _retry, Role.OPERATOR),
    ]


async def _list(visit: Visit) -> Response:
    return await _listing(visit)


async def _listing(visit: Visit, retried: Retried | None = None) -> Response:
    ledger, query = visit.given.ledger, visit.query if visit.request.method == "GET" else {}
    page = await visit.read(ledger.quarantined, query.get("channel"), query.get("cursor"), _A_PAGE)
    count, size_bytes = await visit.read(ledger.quarantine_size)
    told = {
        "bodies": [QuarantinedView.of(one, full_numbers=visit.revealed) for one in page.items],
        "next_cursor": page.next_cursor,
        "count": count,
        "size_bytes": size_bytes,
        "channel": query.get("channel"),
        "channels": visit.given.channels,
        "cursor": query.get("cursor"),
        "retried": retried,
    }
    return visit.render("quarantine.html", told)


async def _show(visit: Visit) -> Response:
    return await _showing(visit)


async def _showing(visit: Visit, still: str | None = None) -> Response:
    kept = await visit.read(visit.given.ledger.quarantined_body, visit.path["id"])
    view = QuarantinedBodyView.with_body(kept, full_numbers=visit.revealed)
    told = {"kept": view, "body": body_of(view), "revealed": visit.revealed, "still": still}
    return visit.render("quarantine_item.html", told)


async def _reveal(visit: Visit) -> Response:
    id_ = visit.path["id"]
    await visit.read(visit.given.ledger.quarantined_body, id_)
    return await _showing(await visit.reveal("quarantined body", id_))


async def _retry(visit: Visit) -> Response:
    id_ = visit.path["id"]
    requeued = await visit.given.writer.ask(Requeue(visit.actor, id_))
    if requeued.taken is None:
        return await _showing(visit, still=RetriedView.of(id_, requeued, full_numbers=visit.revealed).reason or "")
    return visit.redirect(f"{visit.links.console}/quarantine", "requeued")


async def _retry_all(visit: Visit) -> Response:
    """Read all once more, oldest first, for as long as a reader can be kept waiting."""
    retried = await _read_again(visit, id_of(visit.form.get("after", "")) or 0)
    return await _listing(visit, retried)


async def _read_again(visit: Visit, after: int) -> Retried:
    ids = [id_ for id_ in await visit.read(visit.given.ledger.quarantined_ids) if id_ > after]
    until_s = time.monotonic() + _LONGEST_S
    taken = refused = 0
    for number, id_ in enumerate(ids, 1):
        try:
            requeued = await visit.given.writer.ask(Requeue(visit.actor, id_))
        except NotFound:  # somebody else was faster
            continue
        if requeued.taken is None:
            refused += 1
        else:
            taken += 1
        if time.monotonic() > until_s:
            return Retried(number, taken, refused, id_ if number < len(ids) else None)
    return Retried(len(ids), taken, refused, None)


async def _drop(visit: Visit) -> Response:
    ids = [id_ for text in visit.forms.get("id", []) if (id_ := id_of(text)) is not None]
    if not ids:
        return visit.redirect(f"{visit.links.console}/quarantine", "drop_none")
    await visit.given.writer.ask(DropQuarantined(visit.actor, ids))
    return visit.redirect(f"{visit.links.console}/quarantine", "dropped")
