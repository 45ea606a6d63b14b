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
from answerback.console.context import Visit
from answerback.console.routing import Site
from answerback.console.session import is_from_elsewhere
from answerback.domain.models import Kind, Outcome, State
from answerback.errors import NotFound, UnfitExport
from answerback.exports import Export, FileFormat, What
from answerback.exports.response import ExportAnswer

C = TypeVar("C", bound=StrEnum)

_FULL = "full"
_CHECKED = ("mobile", "failure_code", "reference", "callid")
_LARGEST_CODE = 2**31


def routes(site: Site) -> list[Route]:
    """The files."""
    return [site.page("/exports/{what}.{format}", _send)]


async def _send(visit: Visit) -> Response:
    what, file_format = _known(What, visit.path["what"]), _known(FileFormat, visit.path["format"])
    full_numbers = visit.query.get("numbers") == _FULL
    if full_numbers and (
        not visit.reader.full_numbers or is_from_elsewhere(visit.request.headers, visit.given.public_url)
    ):
        raise PermissionError("full_numbers")
    filters = {name: _read(name, text) for name, text in visit.query.items() if name in _READERS}
    check_filters(visit.reader, **{name: filters.get(name) for name in _CHECKED})
    if "endpoint" in visit.query:
        filters["endpoint_id"] = (await visit.read(visit.given.ledger.endpoint, visit.query["endpoint"])).id
    wanted = Export.of(what, file_format, filters, full_numbers=full_numbers)
    return ExportAnswer(wanted, await visit.given.exports.open(wanted, visit.actor))


def _known(choices: type[C], text: str) -> C:
    try:
        return choices(text)
    except ValueError as error:
        raise NotFound(f"no export {text}") from error


def _read(name: str, text: str) -> Any:
    try:
        return _READERS[name](text)
    except ValueError as error:
        raise UnfitExport(name, f"cannot be {text[:64]!r}") from error


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _code(text: str) -> int:
    code = int(text)
    if not 0 <= code < _LARGEST_CODE:
        raise ValueError(text)
    return code


_READERS: Mapping[str, Callable[[str], Any]] = {
    "channel": str,
    "mobile": str,
    "reference": str,
    "callid": str,
    "outcome": Outcome,
    "kind": Kind,
    "state": State,
    "failure_code": _code,
    "since": _moment,
    "until": _moment,
}
