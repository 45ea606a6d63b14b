"""Which calls the statistics of a page are about: a range, and perhaps one channel and one kind."""

from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from answerback.console.context import RequestContext
from answerback.console.model.ranges import CUSTOM, Range, parse_range
from answerback.domain.models import CallbackKind
from answerback.domain.statistics import RangeName
from answerback.ledger.read.statistics import HourRange

KINDS = (CallbackKind.PROMPT, CallbackKind.CODE)
"""The kinds of calls; the others are of calls that no status came for."""


class StatsFilter(NamedTuple):
    """What the reader chose."""

    range: Range
    channel: str | None
    kind: CallbackKind | None

    @property
    def span(self) -> HourRange:
        return self.range.span(self.channel, self.kind)

    @property
    def span_before(self) -> HourRange:
        """The same calls in as many days before."""
        return self.range.span_before(self.channel, self.kind)

    def query(self, **more: str) -> str:
        """The query of an address that asks for the same calls."""
        own = {"channel": self.channel, "kind": self.kind.value if self.kind else None}
        return urlencode(self.range.query | {name: value for name, value in own.items() if value} | more)

    def export_query(self, **more: str) -> str:
        """The same for who knows no ranges, only points in time."""
        own = {"channel": self.channel, "kind": self.kind.value if self.kind else None}
        ends = {"since": self.range.since.isoformat(), "until": self.range.until.isoformat()}
        return urlencode(ends | {name: value for name, value in own.items() if value} | more)


def parse_filter(context: RequestContext) -> StatsFilter:
    """What the address asks for; a channel or a kind that there is not counts as none."""
    shown = parse_range(context.query, datetime.now(UTC), context.deps.zone)
    channel, kind = context.query.get("channel"), context.query.get("kind")
    return StatsFilter(
        shown,
        channel if channel in context.deps.channels else None,
        next((known for known in CallbackKind if known.value == kind), None),
    )


def filter_context(stats_filter: StatsFilter, context: RequestContext) -> dict[str, Any]:
    return {
        "stats_filter": stats_filter,
        "presets": tuple(RangeName),
        "custom": CUSTOM,
        "channels": context.deps.channels,
        "kinds": KINDS,
    }
