"""Which calls the statistics of a page are about: a range, and perhaps one channel and one kind."""

from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from answerback.console.context import Visit
from answerback.console.model.ranges import CUSTOM, PRESETS, Range, read_range
from answerback.domain.models import Kind
from answerback.ledger.read.statistics import Span

KINDS = (Kind.PROMPT, Kind.CODE)
"""What calls are; the other kinds tell of calls that no status came for."""


class Wanted(NamedTuple):
    """What the reader chose."""

    range: Range
    channel: str | None
    kind: Kind | None

    @property
    def span(self) -> Span:
        """What to ask the ledger for."""
        return self.range.span(self.channel, self.kind)

    @property
    def span_before(self) -> Span:
        """The same calls in as many days before."""
        return self.range.span_before(self.channel, self.kind)

    def query(self, **more: str) -> str:
        """The query of an address that asks for the same calls."""
        own = {"channel": self.channel, "kind": self.kind.value if self.kind else None}
        return urlencode(self.range.query | {name: value for name, value in own.items() if value} | more)

    def moments(self, **more: str) -> str:
        """The same for who knows no ranges, only points in time."""
        own = {"channel": self.channel, "kind": self.kind.value if self.kind else None}
        ends = {"since": self.range.since.isoformat(), "until": self.range.until.isoformat()}
        return urlencode(ends | {name: value for name, value in own.items() if value} | more)


def wanted_of(visit: Visit) -> Wanted:
    """What the address asks for; a channel or a kind that there is not counts as none."""
    shown = read_range(visit.query, datetime.now(UTC), visit.given.zone)
    channel, kind = visit.query.get("channel"), visit.query.get("kind")
    return Wanted(
        shown,
        channel if channel in visit.given.channels else None,
        next((known for known in Kind if known.value == kind), None),
    )


def told_of(wanted: Wanted, visit: Visit) -> dict[str, Any]:
    """What the bar of filters needs."""
    return {
        "wanted": wanted,
        "presets": tuple(PRESETS),
        "custom": CUSTOM,
        "channels": visit.given.channels,
        "kinds": KINDS,
    }
