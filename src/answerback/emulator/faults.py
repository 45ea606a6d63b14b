"""How unkind the cloud is to its receivers: what it does to a callback on the way; pure but for chance."""

import random
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

_BOM = b"\xef\xbb\xbf"
_CONTENT_TYPES = ("application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8", None)
_NEXT_COMES_WITHIN_S = 3.5  # keys are the farthest apart
_NUMERIC = (
    "result",
    "accept_time",
    "end_calltime",
    "start_calltime",
    "fee",
    "mobile",
    "nationcode",
    "failure_code",
    "keypress",
)


class Weather(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares from 0 to 1 of the callbacks that this befalls; all are 0 in fair weather.

    `retries`: how often a callback that was not answered OK is sent again (the sibling product documents 2).
    """

    duplicates: float = 0.0
    reorders: float = 0.0
    delays: float = 0.0
    longest_delay_s: float = 30.0
    ints: float = 0.0
    missing_accept_time: float = 0.0
    empty_accept_time: float = 0.0
    content_types: float = 0.0
    boms: float = 0.0
    chunked: float = 0.0
    drops: float = 0.0
    retries: int = 2


class Parcel(NamedTuple):
    """A callback on its way: after `wait_s`, as these bytes; `cut`: the connection is dropped half-way, the first time."""

    wait_s: float
    body: bytes
    content_type: str | None = "application/json"
    chunked: bool = False
    cut: bool = False


def parcels(weather: Weather, key: str, fields: dict[str, object], chance: random.Random) -> Sequence[Parcel]:
    """What becomes of one callback: one parcel in fair weather, two where it is sent twice."""
    body = msgspec.json.encode({key: _blown(weather, fields, chance)})
    if chance.random() < weather.boms:
        body = _BOM + body
    parcel = Parcel(
        wait_s=_wait_s(weather, chance),
        body=body,
        content_type=chance.choice(_CONTENT_TYPES) if chance.random() < weather.content_types else "application/json",
        chunked=chance.random() < weather.chunked,
        cut=chance.random() < weather.drops,
    )
    if chance.random() >= weather.duplicates:
        return (parcel,)
    return (parcel, parcel._replace(wait_s=_wait_s(weather, chance), cut=False))


def _wait_s(weather: Weather, chance: random.Random) -> float:
    """A delay, or just enough to fall behind the next one."""
    wait_s = chance.uniform(0, weather.longest_delay_s) if chance.random() < weather.delays else 0.0
    return wait_s + (
        chance.uniform(_NEXT_COMES_WITHIN_S, 2 * _NEXT_COMES_WITHIN_S) if chance.random() < weather.reorders else 0.0
    )


def _blown(weather: Weather, fields: dict[str, object], chance: random.Random) -> dict[str, object]:
    told = dict(fields)
    if "accept_time" in told and told["accept_time"] == "0":
        if chance.random() < weather.missing_accept_time:
            del told["accept_time"]
        elif chance.random() < weather.empty_accept_time:
            told["accept_time"] = ""
    if chance.random() < weather.ints:
        told |= {
            name: int(value)
            for name in _NUMERIC
            if isinstance(value := told.get(name), str)
            and value.isascii()
            and value.isdigit()
            and str(int(value)) == value
        }
    return told
