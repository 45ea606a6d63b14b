"""Fault injection: what happens to a callback on the way; pure but for chance."""

import random
from collections.abc import Sequence
from typing import Annotated, NamedTuple

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


class FaultProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares from 0 to 1 of the callbacks with each fault; none by default.

    `retries`: how often a callback that was not answered OK is sent again (the sibling product documents 2);
    `retry_delays_s`: the cloud's seconds before each of them, of which the last is repeated.
    """

    duplicates: float = 0.0
    reorders: float = 0.0
    delays: float = 0.0
    max_delay_s: float = 30.0
    ints: float = 0.0
    missing_accept_time: float = 0.0
    empty_accept_time: float = 0.0
    content_types: float = 0.0
    boms: float = 0.0
    chunked: float = 0.0
    drops: float = 0.0
    retries: Annotated[int, msgspec.Meta(ge=0)] = 2
    retry_delays_s: Annotated[Sequence[Annotated[float, msgspec.Meta(ge=0)]], msgspec.Meta(min_length=1)] = (5.0, 10.0)


class OutgoingCallback(NamedTuple):
    """A callback on its way: after `delay_s`, as these bytes; `drop_halfway`: the connection is dropped half-way, the first time."""

    delay_s: float
    body: bytes
    content_type: str | None = "application/json"
    chunked: bool = False
    drop_halfway: bool = False


def inject_faults(
    faults: FaultProfile, key: str, fields: dict[str, object], chance: random.Random
) -> Sequence[OutgoingCallback]:
    """One callback as it is sent: one without faults, two where it is duplicated."""
    body = msgspec.json.encode({key: _change_fields(faults, fields, chance)})
    if chance.random() < faults.boms:
        body = _BOM + body
    callback = OutgoingCallback(
        delay_s=_delay_s(faults, chance),
        body=body,
        content_type=chance.choice(_CONTENT_TYPES) if chance.random() < faults.content_types else "application/json",
        chunked=chance.random() < faults.chunked,
        drop_halfway=chance.random() < faults.drops,
    )
    if chance.random() >= faults.duplicates:
        return (callback,)
    return (callback, callback._replace(delay_s=_delay_s(faults, chance), drop_halfway=False))


def _delay_s(faults: FaultProfile, chance: random.Random) -> float:
    """A delay, or just enough to fall behind the next one."""
    wait_s = chance.uniform(0, faults.max_delay_s) if chance.random() < faults.delays else 0.0
    return wait_s + (
        chance.uniform(_NEXT_COMES_WITHIN_S, 2 * _NEXT_COMES_WITHIN_S) if chance.random() < faults.reorders else 0.0
    )


def _change_fields(faults: FaultProfile, fields: dict[str, object], chance: random.Random) -> dict[str, object]:
    changed = dict(fields)
    if "accept_time" in changed and changed["accept_time"] == "0":
        if chance.random() < faults.missing_accept_time:
            del changed["accept_time"]
        elif chance.random() < faults.empty_accept_time:
            changed["accept_time"] = ""
    if chance.random() < faults.ints:
        changed |= {
            name: int(value)
            for name in _NUMERIC
            if isinstance(value := changed.get(name), str)
            and value.isascii()
            and value.isdigit()
            and str(int(value)) == value
        }
    return changed
