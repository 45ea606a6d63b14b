"""The JSON of statistics, the same from the API and the command line."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Literal, Self, TypeVar

from pydantic import Field

from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.phone_locations import UNKNOWN, carrier_name, region_name
from answerback.domain.statistics import Counts, DurationStats, Statistics
from answerback.schemas.view import Items, View

K = TypeVar("K")
Step = Literal["hour", "day"]

_HOURS_UP_TO = timedelta(days=2)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class CountsView(View):
    """Calls by outcome."""

    calls: int
    answered: int
    unanswered: int
    failed: int
    pending: int = Field(description="no outcome yet")
    answer_rate: float | None = Field(
        description="answered calls over calls with an outcome, 0 to 1; null: no outcomes", examples=[0.75]
    )

    @classmethod
    def of(cls, counts: Counts, **more: object) -> Self:
        return cls.read_from(counts, full_numbers=True, **more)


class BilledCountsView(CountsView):
    """Calls by outcome, with their billed minutes."""

    fee_minutes: int = Field(description="billed minutes, as reported by the vendor")


class TimeBucketView(BilledCountsView):
    """The calls first seen within an hour or a day."""

    at: datetime = Field(description="start of the hour or day")


class HeatmapCellView(CountsView):
    """The calls first seen in one hour of the day on one day of the week."""

    weekday: str = Field(examples=["monday"])
    hour: int = Field(ge=0, le=23)


class KindCountsView(BilledCountsView):
    """The calls of one kind."""

    kind: str | None = Field(description="null: no callback yet")


class ChannelCountsView(BilledCountsView):
    """The calls of one channel."""

    channel: str


class CarrierCountsView(CountsView):
    """The calls to numbers of one carrier."""

    carrier: str | None = Field(examples=["China Mobile"], description="null: not known")
    carrier_zh: str | None = Field(examples=["中国移动"])


class RegionCountsView(CountsView):
    """The calls to numbers of one region."""

    region: str | None = Field(examples=["CN-GD"], description="ISO 3166: a Chinese province, or a country")
    region_en: str | None = Field(examples=["Guangdong"])
    region_zh: str | None = Field(examples=["广东"])


class DurationStatsView(View):
    """Statistics of a duration in seconds; quantiles above ten minutes are rounded to the minute."""

    calls: int = Field(description="number of calls with this duration")
    mean: float | None
    p50: int | None
    p90: int | None

    @classmethod
    def of(cls, times: DurationStats) -> "DurationStatsView":
        mean = None if times.mean_s is None else round(times.mean_s, 3)
        return cls(calls=times.calls, mean=mean, p50=times.quantile_s(0.5), p90=times.quantile_s(0.9))


class FailureView(View):
    """The number of calls with a failure code."""

    code: int
    reason: str | None = Field(description="the vendor's description; null: not in the vendor's table")
    reason_en: str | None
    calls: int
    share: float = Field(description="fraction of all calls with a failure code")


class FailuresView(View):
    """The failure codes of a range, most frequent first."""

    since: datetime
    until: datetime
    calls: int = Field(description="all calls of the range")
    items: Items[FailureView]


class FeesView(View):
    """Billed minutes against those due: every started minute of talk time, none for an unanswered call."""

    billed_minutes: int = Field(description="minutes billed for all calls")
    due_minutes: int = Field(description="minutes due for the calls that can be checked")
    mismatched_calls: int
    overbilled_minutes: int = Field(
        description="billed minus due minutes of the calls that differ; below 0: too little was billed"
    )


class IngestCountsView(View):
    """Counts of incoming callbacks of all kinds."""

    callbacks: int = Field(description="stored; without duplicates")
    duplicates: int
    revisions: int = Field(description="callbacks that differ from the first of their kind")
    quarantined: int


class StatisticsView(View):
    """Statistics of the calls first seen in a range."""

    since: datetime = Field(description="whole hours")
    until: datetime
    timezone: str = Field(examples=["Asia/Shanghai"], description="time zone of days and hours")
    total: BilledCountsView
    ring_seconds: DurationStatsView
    talk_seconds: DurationStatsView
    overdue: int
    ingest: IngestCountsView
    fees: FeesView
    trend: Items[TimeBucketView]
    by_hour_of_day: Items[HeatmapCellView] = Field(description="only cells with calls")
    kinds: Items[KindCountsView]
    channels: Items[ChannelCountsView]
    carriers: Items[CarrierCountsView]
    regions: Items[RegionCountsView]
    failures: Items[FailureView]

    @classmethod
    def of(cls, found: Statistics, zone: tzinfo, step: Step) -> "StatisticsView":
        """The view of `found`, with a trend by `step`, in the days of `zone`."""
        moments = found.by_hour() if step == "hour" else found.by_day(zone)
        return cls(
            since=found.since,
            until=found.until,
            timezone=str(zone),
            total=BilledCountsView.of(found.total),
            ring_seconds=DurationStatsView.of(found.ring),
            talk_seconds=DurationStatsView.of(found.talk),
            overdue=found.overdue,
            ingest=IngestCountsView.model_validate(found.ingest, from_attributes=True),
            fees=FeesView.model_validate(found.fees, from_attributes=True),
            trend=[TimeBucketView.of(counts, at=at) for at, counts in moments.items()],
            by_hour_of_day=list(_cells(found.by_weekday(zone))),
            kinds=[KindCountsView.of(counts, kind=kind) for kind, counts in _largest_first(found.kinds)],
            channels=[
                ChannelCountsView.of(counts, channel=channel) for channel, counts in _largest_first(found.channels)
            ],
            carriers=[
                CarrierCountsView.of(counts, carrier=name or None, carrier_zh=carrier_name(name, "zh") or None)
                for name, counts in _largest_first(found.carriers)
            ],
            regions=[
                RegionCountsView.of(counts, **_region_fields(code)) for code, counts in _largest_first(found.regions)
            ],
            failures=failure_views(found.codes),
        )


def default_step(length: timedelta) -> Step:
    """The step of the trend of a range that is so long, where none is asked for."""
    return "hour" if length <= _HOURS_UP_TO else "day"


def failure_views(codes: Mapping[int, int]) -> list[FailureView]:
    """Failure code -> calls, as views, the most frequent first."""
    total = sum(codes.values())
    return [
        FailureView(
            code=code,
            reason=FAILURE_REASONS[code].zh if code in FAILURE_REASONS else None,
            reason_en=FAILURE_REASONS[code].en if code in FAILURE_REASONS else None,
            calls=calls,
            share=calls / total,
        )
        for code, calls in sorted(codes.items(), key=lambda item: (-item[1], item[0]))
    ]


def _cells(week: list[list[Counts]]) -> Iterable[HeatmapCellView]:
    for weekday, day in zip(_WEEKDAYS, week, strict=True):
        for hour, counts in enumerate(day):
            if counts.calls:
                yield HeatmapCellView.of(counts, weekday=weekday, hour=hour)


def _largest_first(groups: Mapping[K, Counts]) -> list[tuple[K, Counts]]:
    return sorted(groups.items(), key=lambda item: (-item[1].calls, str(item[0])))


def _region_fields(code: str) -> dict[str, str | None]:
    if code == UNKNOWN:
        return {"region": None, "region_en": None, "region_zh": None}
    return {"region": code, "region_en": region_name(code, "en"), "region_zh": region_name(code, "zh")}
