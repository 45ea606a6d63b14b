"""The quarantine: bodies that were no callbacks; each can be seen, read once more, and thrown away."""

import time
from typing import NamedTuple

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import RequestContext
from answerback.console.model.bodies import format_body
from answerback.console.routing import PageRouter
from answerback.domain.models import Role
from answerback.domain.phone_numbers import mask_text
from answerback.errors import ResourceNotFound
from answerback.ledger.commands import DeleteQuarantined, RequeueQuarantined
from answerback.ledger.read.paging import id_of
from answerback.schemas.callbacks import QuarantinedBodyView, QuarantinedView

_PAGE_SIZE = 50
_MAX_DURATION_S = 4.0  # a browser waits for the answer; what is left goes on with another press


class RetrySummary(NamedTuple):
    """What became of bodies that were read once more; `next_after` is the last id looked at, if there are more."""

    examined: int
    accepted: int
    rejected: int
    next_after: int | None


def build_routes(router: PageRouter) -> list[Route]:
    return [
        router.page("/quarantine", _list),
        router.page("/quarantine/{id:id}", _show),
        router.action("/quarantine/{id:id}", _reveal),
        router.action("/quarantine/requeue", _retry_all, Role.OPERATOR),
        router.action("/quarantine/drop", _delete, Role.OPERATOR),
        router.action("/quarantine/{id:id}/requeue", _retry, Role.OPERATOR),
    ]


async def _list(context: RequestContext, retry: RetrySummary | None = None) -> Response:
    ledger, query = context.deps.ledger, context.query if context.request.method == "GET" else {}
    page = await context.run_in_thread(ledger.quarantined, query.get("channel"), query.get("cursor"), _PAGE_SIZE)
    count, size_bytes = await context.run_in_thread(ledger.quarantine_size)
    values = {
        "bodies": [QuarantinedView.of(one, full_numbers=context.unmasked) for one in page.items],
        "next_cursor": page.next_cursor,
        "count": count,
        "size_bytes": size_bytes,
        "channel": query.get("channel"),
        "channels": context.deps.channels,
        "cursor": query.get("cursor"),
        "retry": retry,
    }
    return context.render("quarantine.html", values)


async def _show(context: RequestContext, rejection: str | None = None) -> Response:
    item = await context.run_in_thread(context.deps.ledger.quarantined_body, context.path["id"])
    view = QuarantinedBodyView.with_body(item, full_numbers=context.unmasked)
    values = {"item": view, "body": format_body(view), "unmasked": context.unmasked, "rejection": rejection}
    return context.render("quarantine_item.html", values)


async def _reveal(context: RequestContext) -> Response:
    id_ = context.path["id"]
    await context.run_in_thread(context.deps.ledger.quarantined_body, id_)
    return await _show(await context.unmask("quarantined body", id_))


async def _retry(context: RequestContext) -> Response:
    id_ = context.path["id"]
    requeued = await context.deps.ledger_client.execute(RequeueQuarantined(context.actor, id_))
    if requeued.disposition is None:
        reason = requeued.reason or ""
        return await _show(context, rejection=reason if context.unmasked else mask_text(reason))
    return context.redirect(f"{context.links.console}/quarantine", "requeued")


async def _retry_all(context: RequestContext) -> Response:
    """Read all once more, oldest first, for as long as a browser may wait."""
    retry = await _retry_batch(context, id_of(context.form.get("after", "")) or 0)
    return await _list(context, retry)


async def _retry_batch(context: RequestContext, after: int) -> RetrySummary:
    ids = [id_ for id_ in await context.run_in_thread(context.deps.ledger.requeueable_ids) if id_ > after]
    until_s = time.monotonic() + _MAX_DURATION_S
    taken = refused = 0
    for number, id_ in enumerate(ids, 1):
        try:
            requeued = await context.deps.ledger_client.execute(RequeueQuarantined(context.actor, id_))
        except ResourceNotFound:  # somebody else was faster
            continue
        if requeued.disposition is None:
            refused += 1
        else:
            taken += 1
        if time.monotonic() > until_s:
            return RetrySummary(number, taken, refused, id_ if number < len(ids) else None)
    return RetrySummary(len(ids), taken, refused, None)


async def _delete(context: RequestContext) -> Response:
    ids = [id_ for text in context.form_values.get("id", []) if (id_ := id_of(text)) is not None]
    if not ids:
        return context.redirect(f"{context.links.console}/quarantine", "drop_none")
    await context.deps.ledger_client.execute(DeleteQuarantined(context.actor, ids))
    return context.redirect(f"{context.links.console}/quarantine", "dropped")
