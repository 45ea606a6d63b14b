"""/v1/exports: calls, callbacks, deliveries and statistics as files."""

from typing import Annotated, Any

from fastapi import HTTPException, Query, Response
from fastapi.concurrency import run_in_threadpool

from answerback.api.dependencies import (
    INVALID,
    NOT_FOUND,
    NUMBERS_HIDDEN,
    PROBLEMS,
    CurrentPrincipal,
    Moment,
    Timezone,
    load_zone,
    to_zone,
)
from answerback.api.openapi import problem
from answerback.api.routes import Responses, Routes
from answerback.auth.api_keys import check_filters
from answerback.domain.endpoints import DeliveryState
from answerback.domain.models import CallbackKind, Outcome
from answerback.errors import ExportFailed, MissingExtra, TooManyExports
from answerback.exports import Dataset, Export, FileFormat
from answerback.exports.process import RETRY_AFTER_S, ExportManager
from answerback.exports.response import ExportResponse
from answerback.ledger import Ledger

_FILE: Responses = {
    200: {
        "description": "the file; if writing it fails, the connection is closed",
        "content": {each.media_type.partition(";")[0]: {"schema": {"type": "string"}} for each in FileFormat},
    },
    501: problem("the format needs a library that is not installed"),
    503: problem("the ledger does not answer, or too many exports are running: Retry-After"),
}


def build_routes(ledger: Ledger, exports: ExportManager) -> Routes:
    """The routes below /v1/exports."""
    router = Routes("exports")

    @router.get(
        "/v1/exports/{dataset}.{format}",
        summary="Export from the ledger as a file, oldest first",
        response_class=Response,
        responses=PROBLEMS | NUMBERS_HIDDEN | NOT_FOUND | INVALID | _FILE,
    )
    async def export_file(
        dataset: Dataset,
        format: FileFormat,
        principal: CurrentPrincipal,
        channel: str | None = None,
        mobile: Annotated[str | None, Query(description="calls and callbacks: in any notation")] = None,
        outcome: Annotated[Outcome | None, Query(description="calls and callbacks")] = None,
        kind: Annotated[
            CallbackKind | None, Query(description="calls, callbacks (of those calls) and statistics")
        ] = None,
        failure_code: Annotated[int | None, Query(ge=0, le=2**31 - 1, description="calls and callbacks")] = None,
        reference: Annotated[str | None, Query(description="calls and callbacks")] = None,
        since: Moment = None,
        until: Moment = None,
        timezone: Timezone = "UTC",
        endpoint: Annotated[str | None, Query(description="deliveries: name or id")] = None,
        state: Annotated[DeliveryState | None, Query(description="deliveries")] = None,
        callid: Annotated[str | None, Query(description="deliveries")] = None,
    ) -> Response:
        check_filters(principal.key, mobile, failure_code, reference=reference, callid=callid)
        zone = load_zone(timezone)
        filters: dict[str, Any] = {
            "channel": channel,
            "mobile": mobile,
            "outcome": outcome,
            "kind": kind,
            "failure_code": failure_code,
            "reference": reference,
            "since": to_zone(since, zone),
            "until": to_zone(until, zone),
            "endpoint_id": None if endpoint is None else (await run_in_threadpool(ledger.endpoint, endpoint)).id,
            "state": state,
            "callid": callid,
        }
        try:
            wanted = Export.of(dataset, format, filters, full_numbers=principal.full_numbers)
            return ExportResponse(wanted, await exports.open(wanted, principal.actor))
        except TooManyExports as error:
            raise HTTPException(503, str(error), {"Retry-After": str(RETRY_AFTER_S)}) from error
        except MissingExtra as error:
            raise HTTPException(501, str(error)) from error
        except ExportFailed as error:
            raise HTTPException(503, str(error)) from error

    return router
