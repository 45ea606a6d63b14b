"""Which calls a list shows: what the form above it asks for; pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from answerback.console.model.ranges import CUSTOM, PRESETS, Range, read_range
from answerback.domain.models import Kind, Outcome
from answerback.ledger.read.calls import CallFilter

Code = TypeVar("Code", bound=StrEnum)

RANGES = (*PRESETS, CUSTOM)
FIELDS = ("mobile", "callid", "reference", "channel", "kind", "outcome", "failure_code", "range", "since", "until")

_LARGEST_CODE = 2**31 - 1


class Wanted(NamedTuple):
    """What is asked for. `faults` names the words for what is wrong, by field; such a field filters nothing."""

    calls: CallFilter
    callid: str | None
    range: Range | None
    faults: Mapping[str, str]

    @property
    def is_anything(self) -> bool:
        """Whether no filter is set."""
        return self.callid is None and self.calls == CallFilter()


def read_filter(query: Mapping[str, str], channels: Sequence[str], now: datetime, zone: ZoneInfo) -> Wanted:
    """The filter of an address; days are those of `zone`. Without a range, calls of any time."""
    faults = {}
    shown = read_range(query, now, zone) if query.get("range") in RANGES else None
    if shown is not None and shown.fault is not None:
        faults["range"], shown = shown.fault, None
    code = _number(query.get("failure_code", ""))
    if code is None and query.get("failure_code"):
        faults["failure_code"] = "calls_unfit_code"
    channel = query.get("channel")
    wanted = CallFilter(
        channel=channel if channel in channels else None,
        mobile=query.get("mobile", "").strip() or None,
        outcome=_known(Outcome, query.get("outcome")),
        kind=_known(Kind, query.get("kind")),
        failure_code=code,
        reference=query.get("reference", "").strip() or None,
        since=None if shown is None else shown.since,
        until=None if shown is None else shown.until,
    )
    return Wanted(wanted, query.get("callid", "").strip() or None, shown, faults)


def matches(wanted: CallFilter, channel: str, kind: Kind | None, outcome: Outcome) -> bool:
    """Whether a call that was found by its callid is one of those that are asked for."""
    return wanted.channel in (None, channel) and wanted.kind in (None, kind) and wanted.outcome in (None, outcome)


def _known(codes: type[Code], text: str | None) -> Code | None:
    return next((code for code in codes if code.value == text), None)


def _number(text: str) -> int | None:
    fits = text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_CODE))
    return int(text) if fits and int(text) <= _LARGEST_CODE else None
