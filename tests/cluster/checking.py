"""What has to be true afterwards, asked of the ledger by nothing but SQL, and of the receivers by what they took."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from cluster.calls import Reported, keys_of, outcome_of, read, steps_of
from cluster.load import Load
from receivers.process import Taken

Rows = Callable[[str], list[tuple[Any, ...]]]
"""Asks the ledger."""


class Kept(NamedTuple):
    """A callback in the ledger; `place` counts those of its call."""

    reported: Reported
    place: int
    repeats: int


def kept(rows: Rows, load: Load) -> list[Kept]:
    """Every callback in the ledger about a call that was first heard of since `load` began, in the ledger's order."""
    found = rows(
        "SELECT callbacks.id, raw, duplicates FROM callbacks JOIN calls ON calls.id = callbacks.call_id"
        f" WHERE first_seen_us >= {load.started_us} ORDER BY callbacks.id"
    )
    return [Kept(read(bytes(raw)), place, repeats) for place, raw, repeats in found]


def missing(rows: Rows, load: Load) -> set[Reported]:
    """What was answered and is not in the ledger, or not as often, yet or ever: a repeat may wait in another stream."""
    counted = Counter({one.reported: one.repeats + 1 for one in kept(rows, load)})
    return {reported for reported, count in load.answered.items() if counted[reported] < count}


def undelivered(rows: Rows) -> int:
    """How many deliveries are not at their end."""
    ((count,),) = rows("SELECT count(*) FROM deliveries WHERE state IN ('pending', 'blocked')")
    return int(count)


def overtaken(found: Sequence[Kept]) -> int:
    """How many callbacks are in the ledger after one that was sent when they had been answered."""
    places = {one.reported: one.place for one in found}
    return sum(places.get(Reported(callid, step + 1), place) < place for (callid, step), place in places.items())


def check_ledger(rows: Rows, load: Load, *, in_order: bool = True) -> dict[Reported, int]:
    """Everything answered is in the ledger exactly once, and nothing is invented; `in_order`: as it was answered.

    Returns which of its call's each callback is in the ledger: 0, 1, ...
    """
    found = kept(rows, load)
    counted = {one.reported: one.repeats + 1 for one in found}
    assert len(found) == len(counted), f"{len(found) - len(counted)} callbacks are in the ledger twice"
    lost = load.answered.keys() - counted.keys()
    assert not lost, f"answered, and not in the ledger: {len(lost)} of {len(load.answered)}, as {next(iter(lost))}"
    assert not counted.keys() - load.sent, "in the ledger, and never told"
    short = [reported for reported, count in load.answered.items() if counted[reported] < count]
    assert not short, f"answered more often than counted: {short[:3]}"
    assert not in_order or not overtaken(found), f"told later, and earlier in the ledger: {overtaken(found)}"
    ranks: dict[Reported, int] = {}
    before: Counter[str] = Counter()
    for one in found:
        ranks[one.reported] = before[one.reported.callid]
        before[one.reported.callid] += 1
    _check_records(rows, load, ranks)
    return ranks


def _check_records(rows: Rows, load: Load, ranks: Mapping[Reported, int]) -> None:
    """The record of each call is what its callbacks make of it, whatever their order in the ledger."""
    found = rows(
        f"SELECT channel, callid, outcome, keys, revisions FROM calls WHERE first_seen_us >= {load.started_us}"
    )
    calls = {reported.callid for reported in ranks}
    assert sorted(callid for _, callid, *_ in found) == sorted(calls), "calls without callbacks, or a call twice"
    for _, callid, outcome, keys, revisions in found:
        if all(Reported(callid, step) in ranks for step in range(len(steps_of(callid)))):
            record, expected = (outcome, json.loads(keys), revisions), (outcome_of(callid), keys_of(callid), 0)
            assert record == expected, f"the record of {callid} is {record}, not {expected}"


def check_taken(taken: Sequence[Taken], load: Load, ranks: Mapping[Reported, int]) -> int:
    """A receiver of webhooks got everything answered, each call in the ledger's order; return how often something twice."""
    ids: defaultdict[Reported, set[str]] = defaultdict(set)
    accepted: defaultdict[str, set[int]] = defaultdict(set)
    repeats = 0
    for one in taken:
        reported = read(one.document["data"]["callback"]["raw"].encode())
        if reported not in load.sent:
            continue  # of a load before this one, refused then and stored later all the same
        assert reported in ranks, f"{reported} was taken, and is not in the ledger"
        rank, before = ranks[reported], accepted[reported.callid]
        assert rank in (len(before) - 1, len(before)), (
            f"{reported}, the call's number {rank}, came after {before}: {_story(taken, reported.callid)}"
        )
        repeats += rank in before
        ids[reported].add(one.id)
        if one.status == 200:
            before.add(rank)
    undelivered = [reported for reported in load.answered if ranks[reported] not in accepted[reported.callid]]
    assert not undelivered, (
        f"answered, and never taken: {len(undelivered)} of {len(load.answered)}, as {undelivered[0]}"
    )
    assert all(len(known) == 1 for known in ids.values()), "a repeat by another id"
    assert len(set().union(*ids.values())) == len(ids), "one id for two callbacks"
    return repeats


def _story(taken: Sequence[Taken], callid: str) -> list[tuple[float, str, int]]:
    """When a receiver took what of a call, and what it answered."""
    return [(one.at_s, one.id, one.status) for one in taken if one.callid == callid]
