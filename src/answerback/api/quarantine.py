"""/v1/quarantine: what could not be understood."""

from answerback.api.dependencies import FORBIDDEN, NOT_FOUND, OPERATOR, PROBLEMS, Asking, Cursor, Limit
from answerback.api.routes import Routes
from answerback.domain.phone_numbers import mask_text
from answerback.errors import NotFound
from answerback.ledger import Ledger
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import DropQuarantined, Requeue
from answerback.ledger.read.calls import LARGEST_ID
from answerback.schemas.calls import Listing, QuarantinedBodyView, QuarantinedView, RetriedView


def routes(ledger: Ledger, writer: LedgerClient) -> Routes:
    """The routes below /v1/quarantine."""
    router = Routes("quarantine")

    @router.get("/v1/quarantine", summary="Refused bodies, newest first", responses=PROBLEMS)
    def list_quarantined(
        reader: Asking, channel: str | None = None, cursor: Cursor = None, limit: Limit = 50
    ) -> Listing[QuarantinedView]:
        page = ledger.quarantined(channel, cursor, limit)
        reader.shown(sum(mask_text(body.reason) != body.reason for body in page.items))
        views = [QuarantinedView.of(body, full_numbers=reader.full_numbers) for body in page.items]
        return Listing(items=views, next_cursor=page.next_cursor)

    @router.get("/v1/quarantine/{id}", summary="One, with its bytes", responses=PROBLEMS | NOT_FOUND)
    def get_quarantined(id: int, reader: Asking) -> QuarantinedBodyView:
        found = ledger.quarantined_body(id)
        reader.shown(1)
        return QuarantinedBodyView.with_body(found, full_numbers=reader.full_numbers)

    @router.post(
        "/v1/quarantine/{id}/retry",
        summary="Read it once more: what is a callback now goes to its call, at the time it came in",
        responses=PROBLEMS | FORBIDDEN | NOT_FOUND,
        dependencies=[OPERATOR],
    )
    async def retry_quarantined(id: int, reader: Asking) -> RetriedView:
        requeued = await writer.ask(Requeue(reader.actor, _fitting(id)))
        return RetriedView.of(id, requeued, full_numbers=reader.full_numbers)

    @router.delete(
        "/v1/quarantine/{id}",
        status_code=204,
        summary="Throw it away, for good",
        responses=PROBLEMS | FORBIDDEN | NOT_FOUND,
        dependencies=[OPERATOR],
    )
    async def drop_quarantined(id: int, reader: Asking) -> None:
        if not await writer.ask(DropQuarantined(reader.actor, [_fitting(id)])):
            raise _nothing(id)

    return router


def _fitting(id_: int) -> int:
    """An id that the ledger can be asked for. Raises NotFound where none is so large, or so small."""
    if not 0 <= id_ < LARGEST_ID:
        raise _nothing(id_)
    return id_


def _nothing(id_: int) -> NotFound:
    return NotFound(f"nothing in quarantine with id {id_}")
