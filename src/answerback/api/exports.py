"""/v1/exports: calls, callbacks, deliveries and statistics as files."""

from typing import Annotated, Any

from fastapi import HTTPException, Path, Response
from fastapi.concurrency import run_in_threadpool

from answerback.api.dependencies import (
    ByCallid,
    ByChannel,
    ByEndpoint,
    ByFailureCode,
    ByKind,
    ByMobile,
    ByOutcome,
    ByReference,
    ByState,
    CurrentPrincipal,
    Since,
    Timezone,
    Until,
    load_zone,
    to_zone,
)
from answerback.api.openapi import problem
from answerback.api.routes import NOT_FOUND, NUMBERS_HIDDEN, Responses, Routes
from answerback.auth.api_keys import check_filters
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
    router = Routes("exports")

    @router.get(
        "/v1/exports/{dataset}.{format}",
        summary="Export from the ledger as a file, oldest first",
        description="Deliveries are filtered by channel, endpoint, state and callid; statistics by channel, kind and time; "
        "calls, and the callbacks of calls, by all but endpoint, state and callid.",
        response_class=Response,
        responses=NUMBERS_HIDDEN | NOT_FOUND | _FILE,
    )
    async def export_file(
        dataset: Annotated[Dataset, Path(description="what to export")],
        format: Annotated[FileFormat, Path(description="file format; parquet needs the extra `parquet`")],
        principal: CurrentPrincipal,
        channel: ByChannel = None,
        mobile: ByMobile = None,
        outcome: ByOutcome = None,
        kind: ByKind = None,
        failure_code: ByFailureCode = None,
        reference: ByReference = None,
        since: Since = None,
        until: Until = None,
        timezone: Timezone = "UTC",
        endpoint: ByEndpoint = None,
        state: ByState = None,
        callid: ByCallid = None,
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
            spec = Export.of(dataset, format, filters, full_numbers=principal.full_numbers)
            return ExportResponse(spec, await exports.open(spec, principal.actor))
        except TooManyExports as error:
            raise HTTPException(503, str(error), {"Retry-After": str(RETRY_AFTER_S)}) from error
        except MissingExtra as error:
            raise HTTPException(501, str(error)) from error
        except ExportFailed as error:
            raise HTTPException(503, str(error)) from error

    return router
