"""`answerback stats`: call statistics, with charts on a terminal."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from answerback.cli.language import current_language, tr, tr_all
from answerback.cli.options import TIME_FORMATS, ByChannel, ByKind, Config, DataDir, load_cli_settings, open_recorded
from answerback.cli.output import AsJson, out, print_fields, print_json, print_table
from answerback.config import Settings
from answerback.domain.models import CallbackKind
from answerback.domain.phone_locations import UNKNOWN, carrier_name, region_name
from answerback.domain.statistics import Counts, DurationStats, RangeName, Statistics, named_range
from answerback.errors import InvalidRange
from answerback.i18n import Language, Text
from answerback.ledger.read.statistics import HourRange
from answerback.schemas.statistics import FailureView, StatisticsView, Step, failure_views

_CHART_HEIGHT = 14
_NARROWEST, _WIDEST = 60, 160
_TOP = 8
_HOURS_UP_TO_DAYS = 2
_COLORS = {"answered": "green", "unanswered": "orange", "failed": "red", "pending": "gray"}

_PENDING = Text("pending", "尚无结果")
"""Elsewhere it is said of deliveries."""

_Moment = typer.Option(formats=TIME_FORMATS, help="In the console's time zone.")


def stats(
    range_: Annotated[RangeName | None, typer.Option("--range", help="The range of days; 7d by default.")] = None,
    since: Annotated[datetime | None, _Moment] = None,
    until: Annotated[datetime | None, _Moment] = None,
    channel: ByChannel = None,
    kind: ByKind = None,
    charts: Annotated[bool | None, typer.Option(help="Draw charts; by default on a terminal.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    settings = load_cli_settings(config, data_dir=data_dir)
    zone = ZoneInfo(settings.console.timezone)
    span = _span(range_, since, until, channel, kind, zone)
    with open_recorded(settings) as ledger:
        found = ledger.statistics(span)
    step: Step = "hour" if (found.until - found.since).days <= _HOURS_UP_TO_DAYS else "day"
    if as_json:
        print_json(StatisticsView.of(found, zone, step))
        return
    _print_sums(found, settings, zone)
    if charts or (charts is None and sys.stdout.isatty()):
        _print_charts(found, zone, step)
    _print_groups(found)


def _span(
    range_: RangeName | None,
    since: datetime | None,
    until: datetime | None,
    channel: str | None,
    kind: CallbackKind | None,
    zone: ZoneInfo,
) -> HourRange:
    if since is None:
        if until is not None:
            raise InvalidRange("--until", "needs --since")
        first, last = named_range(range_ or RangeName.WEEK, datetime.now(UTC), zone)
    elif range_ is not None:
        raise InvalidRange("--range", "name either --range, or --since and --until")
    else:
        first, last = since.replace(tzinfo=zone), until.replace(tzinfo=zone) if until else datetime.now(UTC)
    if not first < last:
        raise InvalidRange("--until", "is not after --since")
    return HourRange(since=first, until=last, channel=channel, kind=kind)


def _print_sums(found: Statistics, settings: Settings, zone: tzinfo) -> None:
    total, came, fees = found.total, found.ingest, found.fees
    print_fields(
        {
            tr("calls ({timezone})", timezone=settings.console.timezone): tr(
                "{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}",
                since=found.since.astimezone(zone),
                until=found.until.astimezone(zone),
            ),
            tr("calls"): f"{total.calls:,}",
            tr("answer rate"): _rate(total),
            tr("answered"): f"{total.answered:,}",
            tr("unanswered"): f"{total.unanswered:,}",
            tr("failed"): f"{total.failed:,}",
            _PENDING.translate(current_language()): tr(
                "{count:,}, of these overdue {overdue:,}", count=total.pending, overdue=found.overdue
            )
            if found.overdue
            else f"{total.pending:,}",
            tr("ring time"): _times(found.ring),
            tr("talk time"): _times(found.talk),
            tr("billed minutes"): f"{fees.billed_minutes:,}",
            tr("fee difference"): tr(
                "{minutes:+,} min in {calls:,} calls", minutes=fees.overbilled_minutes, calls=fees.mismatched_calls
            )
            if fees.mismatched_calls
            else tr("none"),
            tr("callbacks"): tr(
                "{callbacks:,}, and {duplicates:,} duplicates; {revisions:,} revisions",
                callbacks=came.callbacks,
                duplicates=came.duplicates,
                revisions=came.revisions,
            ),
            tr("quarantined"): f"{came.quarantined:,}",
        }
    )


def _print_groups(found: Statistics) -> None:
    failures = failure_views(found.codes)
    rows: list[tuple[Any, ...]] = [
        (one.code, *_reasons(one), f"{one.calls:,}", f"{one.share:.1%}") for one in failures[:_TOP]
    ]
    code, reason, calls, share, rate = tr_all("code", "reason", "calls", "share", "answer rate")
    _print_section(tr("failures"), (code, reason, "", calls, share), rows, len(failures))
    language = current_language()
    regions = {code: region_name(code, language) for code in found.regions}
    carriers = {carrier: carrier_name(carrier, language) for carrier in found.carriers}
    for title, name, groups, names in (
        (tr("channels"), tr("channel"), found.channels, {}),
        (tr("carriers"), tr("carrier"), found.carriers, carriers),
        (tr("regions"), tr("region"), found.regions, regions),
    ):
        largest = sorted(groups.items(), key=lambda item: -item[1].calls)
        rows = [
            (names.get(one, one) if one != UNKNOWN else tr("not known"), f"{counts.calls:,}", _rate(counts))
            for one, counts in largest[:_TOP]
        ]
        _print_section(title, (name, calls, rate), rows, len(largest))


def _reasons(one: FailureView) -> tuple[str | None, str | None]:
    """The vendor's words, and what they are in English for whoever reads that."""
    return (one.reason, one.reason_en if current_language() is Language.EN else None)


def _print_section(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]], count: int) -> None:
    if not rows:
        return
    more = f" [dim]{tr('the first {shown} of {count}', shown=_TOP, count=count)}[/]" if count > _TOP else ""
    out.print(f"\n[bold]{title}[/]{more}")
    print_table(columns, rows, "")


def _print_charts(found: Statistics, zone: tzinfo, step: Step) -> None:
    moments = found.by_hour() if step == "hour" else found.by_day(zone)
    title = tr("calls per hour") if step == "hour" else tr("calls per day")
    _print_chart(title, {_label(at, zone, step): counts for at, counts in moments.items()})
    clock = [sum(hours, Counts()) for hours in zip(*found.by_weekday(zone), strict=True)]
    _print_chart(tr("calls by hour of the day"), {f"{hour:02}": counts for hour, counts in enumerate(clock)})


def _label(at: datetime, zone: tzinfo, step: Step) -> str:
    local = at.astimezone(zone)
    return f"{local:%m-%d}" if step == "day" else f"{local:%d. %H}"


def _print_chart(title: str, bars: Mapping[str, Counts]) -> None:
    import plotext  # type: ignore[import-untyped]  # it has none; only charts need it

    plotext.clear_figure()
    plotext.limit_size(False, False)  # width and height: what is asked for, wherever it goes
    plotext.theme("clear")
    plotext.plotsize(min(max(out.width, _NARROWEST), _WIDEST), _CHART_HEIGHT)
    plotext.title(title)
    plotext.stacked_bar(
        list(bars),
        [[getattr(counts, outcome) for counts in bars.values()] for outcome in _COLORS],
        labels=list(_COLORS),  # as they are in /v1: a chart takes a Chinese character for one column wide
        color=list(_COLORS.values()),
        width=0.7,
    )
    chart = plotext.build()
    sys.stdout.write(f"\n{chart if sys.stdout.isatty() else plotext.uncolorize(chart)}\n")


def _rate(counts: Counts) -> str:
    return "-" if counts.answer_rate is None else f"{counts.answer_rate:.1%}"


def _times(times: DurationStats) -> str:
    if times.mean_s is None:
        return "-"
    return tr(
        "mean {mean_s:.1f} s, p50 {p50_s} s, p90 {p90_s} s",
        mean_s=times.mean_s,
        p50_s=times.quantile_s(0.5),
        p90_s=times.quantile_s(0.9),
    )
