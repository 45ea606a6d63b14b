"""Which calls a list shows: what the form above it asks for; pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from answerback.console.model.ranges import CUSTOM, Range, parse_range
from answerback.domain.models import CallbackKind, Outcome
from answerback.domain.statistics import RangeName
from answerback.ledger.read.calls import CallFilter

Code = TypeVar("Code", bound=StrEnum)

RANGES = (*RangeName, CUSTOM)
FIELDS = ("mobile", "callid", "reference", "channel", "kind", "outcome", "failure_code", "range", "since", "until")

_MAX_CODE = 2**31 - 1


class CallFilterForm(NamedTuple):
    """What is asked for. `errors` names the words for what is wrong, by field; such a field filters nothing."""

    calls: CallFilter
    callid: str | None
    range: Range | None
    errors: Mapping[str, str]

    @property
    def is_empty(self) -> bool:
        return self.callid is None and self.calls == CallFilter()


def parse_call_filter(
    query: Mapping[str, str], channels: Sequence[str], now: datetime, zone: ZoneInfo
) -> CallFilterForm:
    """The filter of an address; days are those of `zone`. Without a range, calls of any time."""
    errors = {}
    shown = parse_range(query, now, zone) if query.get("range") in RANGES else None
    if shown is not None and shown.error is not None:
        errors["range"], shown = shown.error, None
    code = _number(query.get("failure_code", ""))
    if code is None and query.get("failure_code"):
        errors["failure_code"] = "calls_invalid_code"
    channel = query.get("channel")
    call_filter = CallFilter(
        channel=channel if channel in channels else None,
        mobile=query.get("mobile", "").strip() or None,
        outcome=_known(Outcome, query.get("outcome")),
        kind=_known(CallbackKind, query.get("kind")),
        failure_code=code,
        reference=query.get("reference", "").strip() or None,
        since=None if shown is None else shown.since,
        until=None if shown is None else shown.until,
    )
    return CallFilterForm(call_filter, query.get("callid", "").strip() or None, shown, errors)


def matches(call_filter: CallFilter, channel: str, kind: CallbackKind | None, outcome: Outcome) -> bool:
    """Whether a call that was found by its callid is one of those that are asked for."""
    return (
        call_filter.channel in (None, channel)
        and call_filter.kind in (None, kind)
        and call_filter.outcome in (None, outcome)
    )


def _known(codes: type[Code], text: str | None) -> Code | None:
    return next((code for code in codes if code.value == text), None)


def _number(text: str) -> int | None:
    fits = text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_CODE))
    return int(text) if fits and int(text) <= _MAX_CODE else None
