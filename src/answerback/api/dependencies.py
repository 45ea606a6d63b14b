"""What the routes share: authentication, roles and common parameters."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, TypeVar
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from fastapi import Depends, HTTPException, Path, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from answerback.auth.authenticator import Authenticator
from answerback.domain.endpoints import DeliveryState
from answerback.domain.models import MAX_PAGE_SIZE, ApiKey, CallbackKind, Outcome, Role
from answerback.domain.phone_numbers import mask_phone_like
from answerback.errors import InvalidRange, PermissionDenied
from answerback.ledger.admin.audit import Actor

M = TypeVar("M", datetime, datetime | None)

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


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


def to_zone(moment: M, zone: tzinfo = UTC) -> M:
    """`moment`, in `zone` if it names none."""
    return moment.replace(tzinfo=zone) if moment is not None and moment.tzinfo is None else moment


class StrictBody(BaseModel):
    """The body of a request; a field that there is not is refused."""

    model_config = ConfigDict(extra="forbid")


ValidText = Annotated[str, AfterValidator(_check_text)]
Instant = Annotated[datetime, BeforeValidator(_check_spelling)]
UtcInstant = Annotated[Instant, AfterValidator(to_zone)]

# Parameters of several routes: in the path, of a page, and by which a list is filtered.
_CALLID = "d9428888-122b-11e1-b85c-61cd3cbb3210"
CallidPath = Annotated[
    str, Path(description="the call's id, as returned when it was sent; may contain a slash", examples=[_CALLID])
]
EndpointPath = Annotated[str, Path(description="name or id of an endpoint", examples=["crm"])]
IdPath = Annotated[int, Path(description="the id, as in the list", examples=[1])]
CallChannel = Annotated[str | None, Query(description="required if several channels have this callid")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the previous page", max_length=128)]
PageSize = Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="maximum number of items on a page")]
ByChannel = Annotated[str | None, Query(description="only this channel", examples=["default"])]
ByMobile = Annotated[
    str | None,
    Query(
        description="only calls to this number, in any notation: E.164, with or without the country code",
        examples=["13788888888"],
    ),
]
ByOutcome = Annotated[Outcome | None, Query(description="only calls with this outcome", examples=["failed"])]
ByKind = Annotated[CallbackKind | None, Query(description="only calls described by this kind of callback")]
ByFailureCode = Annotated[
    int | None,
    Query(description="only calls with this failure code of the vendor", ge=-(2**31), lt=2**31, examples=[8]),
]
ByReference = Annotated[str | None, Query(description="only calls with this reference", examples=["order-42"])]
ByCallid = Annotated[str | None, Query(description="only deliveries of this call", examples=[_CALLID])]
ByEndpoint = Annotated[str | None, Query(description="only deliveries to this endpoint: name or id", examples=["crm"])]
ByState = Annotated[DeliveryState | None, Query(description="only deliveries in this state", examples=["dead"])]
_ZONED = "ISO 8601, in `timezone` if it names no time zone, UTC by default"
Since = Annotated[
    Instant | None, Query(description=f"first seen at this time or later; {_ZONED}", examples=["2016-08-03"])
]
Until = Annotated[Instant | None, Query(description=f"first seen before this time; {_ZONED}", examples=["2016-08-04"])]
Masked = Annotated[
    bool, Query(description="mask numbers even if the key may see them in full: nothing is revealed then")
]
Timezone = Annotated[
    str,
    Query(
        description="time zone of days and hours, and of times that name none",
        max_length=64,
        examples=["Asia/Shanghai"],
    ),
]


class CallQuery(BaseModel):
    """Which calls: those that each filter lets through."""

    channel: ByChannel = None
    mobile: ByMobile = None
    outcome: ByOutcome = None
    kind: ByKind = None
    failure_code: ByFailureCode = None
    reference: ByReference = None
    since: Since = None
    until: Until = None

    def filters(self, zone: tzinfo = UTC) -> dict[str, Any]:
        """The filters by name, times in `zone` where they name none."""
        filters = {name: getattr(self, name) for name in CallQuery.model_fields}
        return filters | {"since": to_zone(self.since, zone), "until": to_zone(self.until, zone)}


_KEY_WORDS = (
    "An API key, sent as `Authorization: Bearer ab_…`: the one in `<data-dir>/admin-key`, or one created by "
    "`answerback keys create`. Its role says what it may do: a viewer reads, an operator also makes changes and replays, "
    "an admin also makes keys. Numbers are masked unless it has the right to see them in full."
)

log = structlog.get_logger("answerback.api")


class Principal:
    """The caller, and whether they see phone numbers and the URLs of endpoints in full."""

    def __init__(self, key: ApiKey, path: str, is_valid: Callable[[], Awaitable[bool]]) -> None:
        self.key = key
        self.is_valid = is_valid
        """Whether the key still opens. Raises LedgerUnavailable."""
        self.actor = Actor.of(key)
        self.full_numbers = key.full_numbers
        self.full_urls = key.role.includes(Role.OPERATOR)
        self._path = path

    def require_role(self, role: Role) -> None:
        """Raise PermissionDenied, naming the required role, if the key has a lesser one."""
        if not self.key.role.includes(role):
            raise PermissionDenied(f"this requires the role {role}; the key `{self.key.name}` has {self.key.role}")

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

    async def know(
        request: Request, offered: Annotated[HTTPAuthorizationCredentials | None, Security(scheme)]
    ) -> Principal:
        if offered is None:
            raise _unauthorized("send an API key: Authorization: Bearer …")
        key = await authenticator.authenticate(offered.credentials, request.scope, "api")
        if key is None:
            raise _unauthorized("unknown API key")

        async def is_valid() -> bool:
            return await authenticator.authenticate(offered.credentials, request.scope, "api") is not None

        principal = request.state.principal = Principal(key, _path_without_numbers(request.scope["path"]), is_valid)
        return principal

    async def mask(
        principal: Annotated[Principal, Depends(know)],
        masked: Masked = False,  # noqa: FBT002  # FastAPI passes it by name
    ) -> None:  # apart from `know`, which FastAPI would not call where this value is invalid
        if masked:
            principal.full_numbers = False

    return Depends(mask)


def _path_without_numbers(path: str) -> str:
    """A path that is safe to log: a callid may be a phone number."""
    return quote(mask_phone_like(path) if path.startswith("/v1/calls/") else path, safe="/*")


def _unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})


async def _principal(request: Request) -> Principal:
    principal: Principal = request.state.principal  # the guard of all routers has set it
    return principal


CurrentPrincipal = Annotated[Principal, Depends(_principal)]


def load_zone(timezone: str) -> ZoneInfo:
    """Return the time zone of that name. Raises InvalidRange."""
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidRange("timezone", "expected a name such as Asia/Shanghai or UTC") from error
