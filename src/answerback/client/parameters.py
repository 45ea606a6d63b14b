"""Parameters that are given by name: those of a filter, a page, a body. One that is left out is not sent."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypedDict


class Paging(TypedDict, total=False):
    """How many items a request asks for, and where the list starts: at the `next_cursor` of a page."""

    page_size: int
    cursor: str | None


class CallSelection(TypedDict, total=False):
    """Which calls: those that each filter lets through. None lets all through."""

    channel: str | None
    mobile: str | None
    outcome: str | None
    kind: str | None
    failure_code: int | None
    reference: str | None
    since: datetime | None
    until: datetime | None


class CallPaging(CallSelection, Paging, total=False):
    """A list of calls."""


class DeliveryPaging(Paging, total=False):
    """A list of deliveries."""

    endpoint: str | None
    state: str | None
    callid: str | None
    channel: str | None


class ExportFilter(CallSelection, total=False):
    """Which records are exported: of calls and callbacks by all but `endpoint`, `state` and `callid`; see docs/exports.md."""

    endpoint: str | None
    state: str | None
    callid: str | None
    timezone: str | None


class EventFilter(TypedDict, total=False):
    """Which events, and from where on: `after` the cursor of one, "0" from the first, by default from now on."""

    after: str | None
    type: str | None
    channel: str | None
    kind: str | None
    outcome: str | None
    masked: bool


class StatisticsRange(TypedDict, total=False):
    """Which calls are counted: `range` (today, yesterday, 7d, 30d), or `since` and `until`."""

    range: str | None
    since: datetime | None
    until: datetime | None
    channel: str | None
    kind: str | None
    timezone: str | None


class FeePaging(StatisticsRange, Paging, total=False):
    """A page of the calls whose fee differs."""


class Annotation(TypedDict, total=False):
    """What your application adds to a call. None removes a value; what is left out stays."""

    reference: str | None
    metadata: Mapping[str, Any] | None
    due_at: datetime | None


class ReplaySelection(TypedDict, total=False):
    """The calls of which everything is delivered again."""

    since: datetime
    until: datetime
    outcome: str
    kind: str
    mobile: str


class EndpointFields(TypedDict, total=False):
    """What can be set of an endpoint."""

    channel: str
    format: str
    enabled: bool
    kinds: Iterable[str]
    outcomes: Iterable[str]
    failure_codes: Iterable[int]
    number_prefixes: Iterable[str]
    reference_prefixes: Iterable[str]
    notify_on_update: bool
    timeout_s: float
    concurrency: int
    certificate: str | None
    headers: Mapping[str, str]
    success: str | None
    retry_schedule_s: Iterable[float] | None
    proxy: str | None
