"""/v1/exports: calls, callbacks, deliveries and statistics as files."""

from typing import Annotated

from fastapi import Path, Query, Response
from fastapi.concurrency import run_in_threadpool

from answerback.api.dependencies import ByCallid, ByEndpoint, ByState, CallQuery, CurrentPrincipal, Timezone, load_zone
from answerback.api.openapi import problem
from answerback.api.routes import NOT_FOUND, NUMBERS_HIDDEN, Responses, Routes
from answerback.auth.api_keys import check_filters
from answerback.exports import Dataset, Export, FileFormat
from answerback.exports.process import ExportManager
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


class ExportQuery(CallQuery):
    """What to export."""

    timezone: Timezone = "UTC"
    endpoint: ByEndpoint = None
    state: ByState = None
    callid: ByCallid = None


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
        query: Annotated[ExportQuery, Query()],
    ) -> Response:
        filters = query.filters(load_zone(query.timezone)) | {"state": query.state, "callid": query.callid}
        check_filters(principal.key, **filters)
        if query.endpoint is not None:
            filters["endpoint_id"] = (await run_in_threadpool(ledger.endpoint, query.endpoint)).id
        spec = Export.of(dataset, format, filters, full_numbers=principal.full_numbers)
        return ExportResponse(spec, await exports.open(spec, principal.actor))

    return router
