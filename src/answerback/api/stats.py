"""/v1/stats, /v1/failures and /v1/fees: statistics of calls."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict

from answerback.api.dependencies import (
    ByChannel,
    ByKind,
    CurrentPrincipal,
    Cursor,
    PageSize,
    Since,
    Timezone,
    Until,
    load_zone,
)
from answerback.api.routes import Routes
from answerback.domain.statistics import RangeName
from answerback.errors import InvalidRange
from answerback.ledger import Ledger
from answerback.ledger.read.statistics import HourRange, select_hours
from answerback.schemas.calls import FeeAuditView, FeeMismatchView
from answerback.schemas.statistics import FailuresView, FeesView, StatisticsView, Step, default_step, failure_views

_MOST_HOURS = timedelta(days=62)


class StatsQuery(BaseModel):
    """The selected calls: a range by name or by its ends, optionally of one channel or one kind."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    span: HourRange
    zone: ZoneInfo


def build_routes(ledger: Ledger, timezone: str) -> Routes:
    """The routes; days are those of `timezone` unless the request names another."""
    router = Routes("statistics")
    asked = Annotated[StatsQuery, Depends(_parse_query(timezone))]

    @router.get("/v1/stats", summary="Get call statistics of a range")
    def get_statistics(
        asked: asked,
        step: Annotated[
            Step | None, Query(description="bucket of the trend; by default hours up to two days, days beyond")
        ] = None,
    ) -> StatisticsView:
        length = asked.span.until - asked.span.since
        if step == "hour" and length > _MOST_HOURS:
            raise InvalidRange("step", f"hours are for up to {_MOST_HOURS.days} days; use day")
        return StatisticsView.of(ledger.statistics(asked.span), asked.zone, step or default_step(length))

    @router.get("/v1/failures", summary="Get failure codes with counts and shares")
    def get_failures(asked: asked) -> FailuresView:
        found = ledger.statistics(asked.span)
        items = failure_views(found.codes)
        return FailuresView(since=found.since, until=found.until, calls=found.total.calls, items=items)

    @router.get("/v1/fees", summary="Audit fees: billed minutes against those due, and the calls that differ")
    def audit_fees(
        principal: CurrentPrincipal, asked: asked, cursor: Cursor = None, page_size: PageSize = 50
    ) -> FeeAuditView:
        found = ledger.statistics(asked.span)
        page = ledger.fee_mismatches(asked.span, cursor, page_size)
        principal.log_unmasked(len(page.items))
        sums = FeesView.model_validate(found.fees, from_attributes=True)
        return FeeAuditView(
            **sums.model_dump(),
            since=found.since,
            until=found.until,
            items=[FeeMismatchView.of(call, full_numbers=principal.full_numbers) for call in page.items],
            next_cursor=page.next_cursor,
        )

    return router


def _parse_query(timezone: str) -> Callable[..., StatsQuery]:
    def asked(
        range: Annotated[  # the word of the vendor's console and of ours
            RangeName | None, Query(description="in place of since and until; 7d by default")
        ] = None,
        since: Since = None,
        until: Until = None,
        channel: ByChannel = None,
        kind: ByKind = None,
        timezone: Timezone = timezone,
    ) -> StatsQuery:
        zone = load_zone(timezone)
        return StatsQuery(span=select_hours(range, since, until, zone, channel=channel, kind=kind), zone=zone)

    return asked
