"""What the routes share: who may ask, and the forms of common parameters."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Query, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from answerback.api.views import Problem
from answerback.ledger.query import LARGEST_PAGE

Channel = Annotated[str | None, Query(description="needed where two channels hold the same callid")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before", max_length=128)]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
Moment = Annotated[datetime | None, Query(description="ISO 8601; UTC where it names no zone")]
Responses = dict[int | str, dict[str, Any]]

PROBLEMS: Responses = {
    401: {"model": Problem, "description": "no API key, or a wrong one"},
    503: {"model": Problem, "description": "the ledger does not answer"},
}
NOT_FOUND: Responses = {404: {"model": Problem, "description": "nothing by that id"}}
AMBIGUOUS: Responses = {
    409: {"model": Problem, "description": "several channels hold the callid: `channels` names them"}
}
CONFLICT: Responses = {409: {"model": Problem, "description": "it cannot be as things stand"}}
UNFIT: Responses = {422: {"model": Problem, "description": "a field is unfit: `field` names it"}}


def guard(opens: Callable[[str], bool]) -> Any:
    """A dependency that lets only the holder of an API key through."""
    scheme = HTTPBearer(auto_error=False, description="the key in <data-dir>/admin-key")

    def reader(offered: Annotated[HTTPAuthorizationCredentials | None, Security(scheme)]) -> None:
        if offered is None or not opens(offered.credentials):
            detail = "send an API key: Authorization: Bearer …" if offered is None else "this API key is not known"
            raise HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})

    return Depends(reader)


def utc(moment: datetime | None) -> datetime | None:
    """`moment`, in UTC where it names no zone."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
