"""/v1/stats, /v1/failures and /v1/fees: what many calls come to."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from answerback.api.dependencies import PROBLEMS, UNFIT, Asking, Cursor, Limit, Moment, Timezone, local, zone_of
from answerback.api.routes import Routes
from answerback.domain.models import Kind
from answerback.domain.statistics import range_of
from answerback.errors import UnfitSpan
from answerback.ledger import Ledger
from answerback.ledger.read.statistics import Span
from answerback.schemas.calls import DifferingView
from answerback.schemas.statistics import FailureView, FeesView, StatisticsView, Step, failures_of

LONGEST = timedelta(days=3 * 366)
FIRST_YEAR, LAST_YEAR = 1971, 9998

_HOURS_UP_TO = timedelta(days=2)
_MOST_HOURS = timedelta(days=62)

Range = Literal["today", "yesterday", "7d", "30d"]


class FailuresView(BaseModel):
    """The failure codes of a range, the most frequent first."""

    model_config = ConfigDict(frozen=True)

    since: datetime
    until: datetime
    calls: int = Field(description="all calls of the range")
    items: list[FailureView]


class FeeAuditView(FeesView):
    """The sums of a range, and a page of the calls that were billed more or less than is due."""

    since: datetime
    until: datetime
    items: list[DifferingView]
    next_cursor: str | None


class Asked(BaseModel):
    """Which calls: a range by name, or by its ends; of one channel and one kind, if they are given."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    span: Span
    zone: ZoneInfo


def routes(ledger: Ledger, timezone: str) -> Routes:
    """The routes; `timezone` is whose days they are where the reader names no other."""
    router = Routes("statistics")
    asked = Annotated[Asked, Depends(_asking(timezone))]

    @router.get("/v1/stats", summary="What the calls of a range come to", responses=PROBLEMS | UNFIT)
    def get_statistics(
        asked: asked,
        step: Annotated[
            Step | None, Query(description="of the trend; by default hours up to two days, and days beyond")
        ] = None,
    ) -> StatisticsView:
        length = asked.span.until - asked.span.since
        if step == "hour" and length > _MOST_HOURS:
            raise UnfitSpan("step", f"hours are for up to {_MOST_HOURS.days} days; take day")
        chosen: Step = step or ("hour" if length <= _HOURS_UP_TO else "day")
        return StatisticsView.of(ledger.statistics(asked.span), asked.zone, chosen)

    @router.get("/v1/failures", summary="Why calls failed: codes, counts, shares", responses=PROBLEMS | UNFIT)
    def get_failures(asked: asked) -> FailuresView:
        found = ledger.statistics(asked.span)
        items = failures_of(found.codes)
        return FailuresView(since=found.since, until=found.until, calls=found.total.calls, items=items)

    @router.get(
        "/v1/fees", summary="Fee audit: billed against due, and the calls that differ", responses=PROBLEMS | UNFIT
    )
    def audit_fees(reader: Asking, asked: asked, cursor: Cursor = None, limit: Limit = 50) -> FeeAuditView:
        found = ledger.statistics(asked.span)
        page = ledger.differing(asked.span, cursor, limit)
        reader.shown(len(page.items))
        sums = FeesView.model_validate(found.fees, from_attributes=True)
        return FeeAuditView(
            **sums.model_dump(),
            since=found.since,
            until=found.until,
            items=[DifferingView.of(call, full_numbers=reader.full_numbers) for call in page.items],
            next_cursor=page.next_cursor,
        )

    return router


def _asking(timezone: str) -> Callable[..., Asked]:
    def asked(
        range: Annotated[  # the word of the vendor's console and of ours
            Range | None, Query(description="in place of since and until; 7d where none of the three is given")
        ] = None,
        since: Moment = None,
        until: Moment = None,
        channel: Annotated[str | None, Query(description="only its calls")] = None,
        kind: Annotated[Kind | None, Query(description="only calls of this kind")] = None,
        timezone: Timezone = timezone,
    ) -> Asked:
        zone = zone_of(timezone)
        now = datetime.now(UTC)
        if range is not None and (since, until) != (None, None):
            raise UnfitSpan("range", "name either a range, or since and until")
        if since is None and until is not None:
            raise UnfitSpan("since", "is needed where until is given")
        if since is None:
            first, last = range_of(range or "7d", now, zone)
        else:
            first, last = local(since, zone), local(until, zone) or now
        return Asked(span=_span(first, last, channel, kind), zone=zone)

    return asked


def _span(since: datetime, until: datetime, channel: str | None, kind: Kind | None) -> Span:
    try:
        since, until = since.astimezone(UTC), until.astimezone(UTC)
    except OverflowError as error:
        raise UnfitSpan("since", "is outside of the years 1 to 9999 in UTC") from error
    if not since < until:
        raise UnfitSpan("until", "is not after since")
    if until - since > LONGEST:
        raise UnfitSpan("since", f"the longest range is {LONGEST.days} days")
    if not FIRST_YEAR <= since.year <= until.year <= LAST_YEAR:
        raise UnfitSpan("since", f"statistics are of the years {FIRST_YEAR} to {LAST_YEAR}")
    return Span(since=since, until=until, channel=channel, kind=kind)
