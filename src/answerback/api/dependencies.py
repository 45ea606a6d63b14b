"""What the routes share: authentication, roles and common parameters."""

import re
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, overload
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from fastapi import Depends, HTTPException, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator, BeforeValidator

from answerback.api.openapi import problem
from answerback.api.routes import Responses
from answerback.auth.authenticator import Authenticator
from answerback.domain.models import ApiKey, Role
from answerback.domain.phone_numbers import mask_phone_like
from answerback.errors import InvalidRange
from answerback.ledger.admin.audit import Actor
from answerback.ledger.read.paging import MAX_PAGE_SIZE

_DATE = re.compile(r"\d{4}-\d\d-\d\d")

Channel = Annotated[str | None, Query(description="required if several channels have this callid")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the previous page", max_length=128)]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)]


def _check_spelling(moment: object) -> object:
    """Reject a bare number: it could be seconds or milliseconds."""
    if moment is not None and not (isinstance(moment, str) and _DATE.match(moment)):
        raise ValueError("expected ISO 8601, such as 2026-11-23T08:00:00Z")
    return moment


def _check_text(text: str) -> str:
    """Reject half a surrogate pair: JSON can express it, but it is not a character and cannot be stored."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("contains half a surrogate pair") from error
    return text


Text = Annotated[str, AfterValidator(_check_text)]
"""A text of a body."""
Instant = Annotated[datetime, BeforeValidator(_check_spelling)]
"""A time in a query."""
Moment = Annotated[Instant | None, Query(description="ISO 8601; UTC if it names no time zone")]
Timezone = Annotated[str, Query(description="time zone of days and hours, and of times that name none", max_length=64)]

PROBLEMS: Responses = {
    401: problem("the API key is missing, wrong or revoked"),
    429: problem("too many wrong keys: `Retry-After` says when to try again"),
    503: problem("the ledger is unavailable"),
}
NUMBERS_HIDDEN: Responses = {403: problem("the key may not see full numbers, so it cannot search by one")}
FORBIDDEN: Responses = {
    403: problem("the key lacks the role, or the right to full numbers: `detail` names what is needed")
}
NOT_FOUND: Responses = {404: problem("nothing has that id")}
AMBIGUOUS: Responses = {409: problem("several channels have the callid: `channels` names them")}
CONFLICT: Responses = {409: problem("the request conflicts with the current state")}
INVALID: Responses = {422: problem("a field is invalid: `field` names it")}

_KEY_WORDS = (
    "An API key, sent as `Authorization: Bearer ab_…`: the one in `<data-dir>/admin-key`, or one created by "
    "`answerback keys create`. Its role says what it may do: a viewer reads, an operator also makes changes and replays, "
    "an admin also makes keys. Numbers are masked unless it has the right to see them in full."
)

log = structlog.get_logger("answerback.api")


class Principal:
    """The caller, and whether they see phone numbers and the URLs of endpoints in full."""

    def __init__(self, key: ApiKey, path: str) -> None:
        self.key = key
        self.actor = Actor.of(key)
        self.full_numbers = key.full_numbers
        self.full_urls = key.role.includes(Role.OPERATOR)
        self._path = path

    def require_role(self, role: Role) -> None:
        """Raise Forbidden, naming the required role, if the key has a lesser one."""
        if not self.key.role.includes(role):
            raise HTTPException(403, f"this requires the role {role}; the key `{self.key.name}` has {self.key.role}")

    def log(self, event: str, **facts: object) -> None:
        """Log what programs do at the rate of calls; the audit log would be flooded by it."""
        log.info(event, who=self.key.name, **facts)

    def log_unmasked(self, count: int) -> None:
        """Log that so many items were shown with full numbers; the numbers are not logged."""
        if self.full_numbers and count:
            self.log("numbers_unmasked", path=self._path, count=count)


def require_key(authenticator: Authenticator) -> Any:
    """A dependency that requires an API key and gives the routes its holder."""
    scheme = HTTPBearer(auto_error=False, description=_KEY_WORDS)

    async def know(request: Request, offered: Annotated[HTTPAuthorizationCredentials | None, Security(scheme)]) -> None:
        if offered is None:
            raise _unauthorized("send an API key: Authorization: Bearer …")
        key = await authenticator.authenticate(offered.credentials, request.scope, "api")
        if key is None:
            raise _unauthorized("unknown API key")
        request.state.principal = Principal(key, _path_without_numbers(request.scope["path"]))

    return Depends(know)


def _path_without_numbers(path: str) -> str:
    """A path that is safe to log: a callid may be a phone number."""
    return quote(mask_phone_like(path) if path.startswith("/v1/calls/") else path, safe="/*")


def _unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})


async def _principal(request: Request) -> Principal:
    principal: Principal = request.state.principal  # the guard of all routers has set it
    return principal


CurrentPrincipal = Annotated[Principal, Depends(_principal)]


async def _require_operator(principal: CurrentPrincipal) -> None:
    principal.require_role(Role.OPERATOR)


async def _require_admin(principal: CurrentPrincipal) -> None:
    principal.require_role(Role.ADMIN)


OPERATOR = Depends(_require_operator)
"""Require the role operator."""
ADMIN = Depends(_require_admin)
"""Require the role admin."""


@overload
def to_utc(moment: datetime) -> datetime: ...
@overload
def to_utc(moment: None) -> None: ...
@overload
def to_utc(moment: datetime | None) -> datetime | None: ...
def to_utc(moment: datetime | None) -> datetime | None:
    """Return `moment`, in UTC if it names no time zone."""
    return to_zone(moment, UTC)


@overload
def to_zone(moment: datetime, zone: tzinfo) -> datetime: ...
@overload
def to_zone(moment: None, zone: tzinfo) -> None: ...
@overload
def to_zone(moment: datetime | None, zone: tzinfo) -> datetime | None: ...
def to_zone(moment: datetime | None, zone: tzinfo) -> datetime | None:
    """Return `moment`, in `zone` if it names none."""
    return moment.replace(tzinfo=zone) if moment is not None and moment.tzinfo is None else moment


def load_zone(timezone: str) -> ZoneInfo:
    """Return the time zone of that name. Raises InvalidRange."""
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidRange("timezone", "expected a name such as Asia/Shanghai or UTC") from error
