"""`answerback stats`: call statistics, with charts on a terminal."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from answerback.cli.language import current_language, tr, tr_all
from answerback.cli.options import TIME_FORMATS, AsJson, ByChannel, ByKind
from answerback.cli.output import out, print_fields, print_table
from answerback.cli.plain_output import print_json
from answerback.cli.target import GatewayTarget, for_gateway
from answerback.domain.statistics import RangeName
from answerback.i18n import Language, Text
from answerback.schemas.statistics import CountsView, DurationStatsView, FailureView, StatisticsView

_CHART_HEIGHT = 14
_NARROWEST, _WIDEST = 60, 160
_TOP = 8
_HOUR = timedelta(hours=1)
_HOURS_OF_DAY = 24
_COLORS = {"answered": "green", "unanswered": "orange", "failed": "red", "pending": "gray"}

_PENDING = Text("pending", "尚无结果")
"""Elsewhere it is said of deliveries."""

_Moment = typer.Option(formats=TIME_FORMATS, help="In the console's time zone.")

Bars = Mapping[str, Mapping[str, int]]
"""Label -> outcome -> calls."""


@for_gateway
def stats(
    target: GatewayTarget,
    range_: Annotated[RangeName | None, typer.Option("--range", help="The range of days; 7d by default.")] = None,
    since: Annotated[datetime | None, _Moment] = None,
    until: Annotated[datetime | None, _Moment] = None,
    channel: ByChannel = None,
    kind: ByKind = None,
    charts: Annotated[bool | None, typer.Option(help="Draw charts; by default on a terminal.")] = None,
    as_json: AsJson = False,
) -> None:
    with target.open() as gateway:
        found = gateway.stats(range=range_, since=since, until=until, channel=channel, kind=kind)
    if as_json:
        print_json(found)
        return
    _print_sums(found)
    if charts or (charts is None and sys.stdout.isatty()):
        _print_charts(found)
    _print_groups(found)


def _print_sums(found: StatisticsView) -> None:
    total, came, fees, zone = found.total, found.ingest, found.fees, ZoneInfo(found.timezone)
    print_fields(
        {
            tr("calls ({timezone})", timezone=found.timezone): tr(
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
            tr("ring time"): _times(found.ring_seconds),
            tr("talk time"): _times(found.talk_seconds),
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


def _print_groups(found: StatisticsView) -> None:
    rows: list[tuple[Any, ...]] = [
        (one.code, *_reasons(one), f"{one.calls:,}", f"{one.share:.1%}") for one in found.failures[:_TOP]
    ]
    code, reason, calls, share, rate = tr_all("code", "reason", "calls", "share", "answer rate")
    _print_section(tr("failures"), (code, reason, "", calls, share), rows, len(found.failures))
    is_chinese = current_language() is Language.ZH
    groups: tuple[tuple[str, str, Sequence[CountsView], str], ...] = (
        (tr("channels"), tr("channel"), found.channels, "channel"),
        (tr("carriers"), tr("carrier"), found.carriers, "carrier_zh" if is_chinese else "carrier"),
        (tr("regions"), tr("region"), found.regions, "region_zh" if is_chinese else "region_en"),
    )
    for title, column, group, field in groups:
        rows = [(getattr(one, field) or tr("not known"), f"{one.calls:,}", _rate(one)) for one in group[:_TOP]]
        _print_section(title, (column, calls, rate), rows, len(group))


def _reasons(one: FailureView) -> tuple[str | None, str | None]:
    """The vendor's words, and what they are in English for whoever reads that."""
    return (one.reason, one.reason_en if current_language() is Language.EN else None)


def _print_section(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]], count: int) -> None:
    if not rows:
        return
    more = f" [dim]{tr('the first {shown} of {count}', shown=_TOP, count=count)}[/]" if count > _TOP else ""
    out.print(f"\n[bold]{title}[/]{more}")
    print_table(columns, rows, "")


def _print_charts(found: StatisticsView) -> None:
    trend, zone = found.trend, ZoneInfo(found.timezone)
    is_hourly = len(trend) > 1 and trend[1].at - trend[0].at == _HOUR
    label = "%d. %H" if is_hourly else "%m-%d"
    title = tr("calls per hour") if is_hourly else tr("calls per day")
    _print_chart(title, {f"{one.at.astimezone(zone):{label}}": one.model_dump(include=set(_COLORS)) for one in trend})
    clock: dict[str, Counter[str]] = {f"{hour:02}": Counter() for hour in range(_HOURS_OF_DAY)}
    for cell in found.by_hour_of_day:
        clock[f"{cell.hour:02}"].update(cell.model_dump(include=set(_COLORS)))
    _print_chart(tr("calls by hour of the day"), clock)


def _print_chart(title: str, bars: Bars) -> None:
    import plotext  # type: ignore[import-untyped]  # it has none; only charts need it

    plotext.clear_figure()
    plotext.limit_size(False, False)  # width and height: what is asked for, wherever it goes
    plotext.theme("clear")
    plotext.plotsize(min(max(out.width, _NARROWEST), _WIDEST), _CHART_HEIGHT)
    plotext.title(title)
    plotext.stacked_bar(
        list(bars),
        [[counts.get(outcome, 0) for counts in bars.values()] for outcome in _COLORS],
        labels=list(_COLORS),  # as they are in /v1: a chart takes a Chinese character for one column wide
        color=list(_COLORS.values()),
        width=0.7,
    )
    chart = plotext.build()
    sys.stdout.write(f"\n{chart if sys.stdout.isatty() else plotext.uncolorize(chart)}\n")


def _rate(counts: CountsView) -> str:
    return "-" if counts.answer_rate is None else f"{counts.answer_rate:.1%}"


def _times(times: DurationStatsView) -> str:
    if times.mean is None:
        return "-"
    return tr("mean {mean_s:.1f} s, p50 {p50_s} s, p90 {p90_s} s", mean_s=times.mean, p50_s=times.p50, p90_s=times.p90)
