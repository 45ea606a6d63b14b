"""Files of calls, callbacks, deliveries and statistics, in the words of /v1/exports; numbers are masked in them.

Who may see numbers in full gets them with `numbers=full`, from a page of this console; the ledger keeps who exported what.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.routing import Route

from answerback.auth.api_keys import check_filters
from answerback.auth.cross_site import is_cross_site
from answerback.console.context import RequestContext
from answerback.console.routing import PageRouter
from answerback.domain.endpoints import DeliveryState
from answerback.domain.models import CallbackKind, Outcome
from answerback.errors import InvalidExportFilter, ResourceNotFound
from answerback.exports import Dataset, Export, FileFormat
from answerback.exports.response import ExportResponse

C = TypeVar("C", bound=StrEnum)

_FULL = "full"
_MAX_CODE = 2**31


def build_routes(router: PageRouter) -> list[Route]:
    return [router.page("/exports/{what}.{format}", _send)]


async def _send(context: RequestContext) -> Response:
    what, file_format = _parse_choice(Dataset, context.path["what"]), _parse_choice(FileFormat, context.path["format"])
    full_numbers = context.query.get("numbers") == _FULL
    if full_numbers and (
        not context.principal.full_numbers or is_cross_site(context.request.headers, context.deps.public_url)
    ):
        raise PermissionError("full_numbers")
    filters = {name: _parse_filter(name, text) for name, text in context.query.items() if name in _PARSERS}
    check_filters(context.principal, **filters)
    if "endpoint" in context.query:
        filters["endpoint_id"] = (
            await context.run_in_thread(context.deps.ledger.endpoint, context.query["endpoint"])
        ).id
    spec = Export.of(what, file_format, filters, full_numbers=full_numbers)
    return ExportResponse(spec, await context.deps.exports.open(spec, context.actor))


def _parse_choice(choices: type[C], text: str) -> C:
    try:
        return choices(text)
    except ValueError as error:
        raise ResourceNotFound(f"no export {text}") from error


def _parse_filter(name: str, text: str) -> Any:
    try:
        return _PARSERS[name](text)
    except ValueError as error:
        raise InvalidExportFilter(name, f"cannot be {text[:64]!r}") from error


def _parse_time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parse_code(text: str) -> int:
    code = int(text)
    if not 0 <= code < _MAX_CODE:
        raise ValueError(text)
    return code


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "channel": str,
    "mobile": str,
    "reference": str,
    "callid": str,
    "outcome": Outcome,
    "kind": CallbackKind,
    "state": DeliveryState,
    "failure_code": _parse_code,
    "since": _parse_time,
    "until": _parse_time,
}
