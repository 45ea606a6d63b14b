"""/v1/exports: calls, callbacks, deliveries and statistics as files."""

from typing import Annotated, Any

from fastapi import HTTPException, Query, Response
from fastapi.concurrency import run_in_threadpool

from answerback.api.dependencies import (
    NOT_FOUND,
    NUMBERS_HIDDEN,
    PROBLEMS,
    UNFIT,
    Asking,
    Moment,
    Timezone,
    local,
    zone_of,
)
from answerback.api.openapi import problem
from answerback.api.routes import Responses, Routes
from answerback.auth.api_keys import check_filters
from answerback.domain.models import Kind, Outcome, State
from answerback.errors import ExportFailed, ExportsBusy, ExtraMissing
from answerback.exports import Export, FileFormat, What
from answerback.exports.process import RETRY_AFTER_S, Exports
from answerback.exports.response import ExportAnswer
from answerback.ledger import Ledger

_FILE: Responses = {
    200: {
        "description": "the file; where it breaks off, so does the connection",
        "content": {each.media_type.partition(";")[0]: {"schema": {"type": "string"}} for each in FileFormat},
    },
    501: problem("the format needs a library that is not installed"),
    503: problem("the ledger does not answer, or too many exports are running: Retry-After"),
}


def routes(ledger: Ledger, exports: Exports) -> Routes:
    """The routes below /v1/exports."""
    router = Routes("exports")

    @router.get(
        "/v1/exports/{what}.{format}",
        summary="A file of what is in the ledger, oldest first",
        response_class=Response,
        responses=PROBLEMS | NUMBERS_HIDDEN | NOT_FOUND | UNFIT | _FILE,
    )
    async def export_file(
        what: What,
        format: FileFormat,
        reader: Asking,
        channel: str | None = None,
        mobile: Annotated[str | None, Query(description="calls and callbacks: however it is spelled")] = None,
        outcome: Annotated[Outcome | None, Query(description="calls and callbacks")] = None,
        kind: Annotated[Kind | None, Query(description="calls, callbacks (of such calls) and statistics")] = None,
        failure_code: Annotated[int | None, Query(ge=0, le=2**31 - 1, description="calls and callbacks")] = None,
        reference: Annotated[str | None, Query(description="calls and callbacks")] = None,
        since: Moment = None,
        until: Moment = None,
        timezone: Timezone = "UTC",
        endpoint: Annotated[str | None, Query(description="deliveries: name or id")] = None,
        state: Annotated[State | None, Query(description="deliveries")] = None,
        callid: Annotated[str | None, Query(description="deliveries")] = None,
    ) -> Response:
        check_filters(reader.key, mobile, failure_code, reference=reference, callid=callid)
        zone = zone_of(timezone)
        filters: dict[str, Any] = {
            "channel": channel,
            "mobile": mobile,
            "outcome": outcome,
            "kind": kind,
            "failure_code": failure_code,
            "reference": reference,
            "since": local(since, zone),
            "until": local(until, zone),
            "endpoint_id": None if endpoint is None else (await run_in_threadpool(ledger.endpoint, endpoint)).id,
            "state": state,
            "callid": callid,
        }
        try:
            wanted = Export.of(what, format, filters, full_numbers=reader.full_numbers)
            return ExportAnswer(wanted, await exports.open(wanted, reader.actor))
        except ExportsBusy as error:
            raise HTTPException(503, str(error), {"Retry-After": str(RETRY_AFTER_S)}) from error
        except ExtraMissing as error:
            raise HTTPException(501, str(error)) from error
        except ExportFailed as error:
            raise HTTPException(503, str(error)) from error

    return router
