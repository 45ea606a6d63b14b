"""An event of the activity feed as the live view shows it; pure."""

from zoneinfo import ZoneInfo

import msgspec

from answerback.console.links import Links
from answerback.ledger.read.activity import ActivityEvent


class FeedItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event as it is shown; the page has the texts for its codes. `callee` is the number, or else the callid."""

    clock: str
    at: str
    channel: str
    href: str
    callee: str
    kind: str | None = None
    outcome: str | None = None
    endpoint: str | None = None
    event: str | None = None
    error: str | None = None
    status: int | None = None
    milliseconds: float | None = None
    delivery_id: int | None = None


def build_feed_item(event: ActivityEvent, zone: ZoneInfo, links: Links) -> FeedItem:
    """An event as everybody may see it: its number masked, its time by the clock of `zone`."""
    one = event.masked()
    local = one.at.astimezone(zone)  # of our own clock: far from the end of time
    return FeedItem(
        clock=f"{local:%H:%M:%S}.{local.microsecond // 1000:03}",
        at=local.isoformat(),
        channel=one.channel,
        href=links.call(one.callid, one.channel) if one.callid == event.callid else "",
        callee=one.mobile or one.callid,
        kind=one.callback_kind,
        outcome=one.outcome if one.callback_kind is not None else None,
        endpoint=one.endpoint,
        event=one.event,
        error=one.error,
        status=one.status,
        milliseconds=None if one.duration_s is None else round(one.duration_s * 1000, 1),
        delivery_id=one.delivery_id,
    )
