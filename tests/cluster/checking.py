"""What has to be true afterwards, asked of the ledger by nothing but SQL, and of the receivers by what they took."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from cluster.calls import Told, keys_of, outcome_of, read, steps_of
from cluster.load import Load
from receivers.process import Taken

Rows = Callable[[str], list[tuple[Any, ...]]]
"""Asks the ledger."""


class Kept(NamedTuple):
    """A callback in the ledger; `place` counts those of its call."""

    told: Told
    place: int
    repeats: int


def kept(rows: Rows, load: Load) -> list[Kept]:
    """Every callback in the ledger about a call that was first heard of since `load` began, in the ledger's order."""
    found = rows(
        "SELECT callbacks.id, raw, duplicates FROM callbacks JOIN calls ON calls.id = callbacks.call_id"
        f" WHERE first_seen_us >= {load.started_us} ORDER BY callbacks.id"
    )
    return [Kept(read(bytes(raw)), place, repeats) for place, raw, repeats in found]


def missing(rows: Rows, load: Load) -> set[Told]:
    """What was answered and is not in the ledger, or not as often, yet or ever: a repeat may wait in another stream."""
    counted = Counter({one.told: one.repeats + 1 for one in kept(rows, load)})
    return {told for told, count in load.answered.items() if counted[told] < count}


def owed(rows: Rows) -> int:
    """How many deliveries are not at their end."""
    ((count,),) = rows("SELECT count(*) FROM deliveries WHERE state IN ('pending', 'blocked')")
    return int(count)


def overtaken(found: Sequence[Kept]) -> int:
    """How many callbacks are in the ledger after one that was told when they had been answered."""
    places = {one.told: one.place for one in found}
    return sum(places.get(Told(callid, step + 1), place) < place for (callid, step), place in places.items())


def check_ledger(rows: Rows, load: Load, *, in_order: bool = True) -> dict[Told, int]:
    """Everything answered is in the ledger exactly once, and nothing is invented; `in_order`: as it was answered.

    Returns which of its call's each callback is in the ledger: 0, 1, ...
    """
    found = kept(rows, load)
    counted = {one.told: one.repeats + 1 for one in found}
    assert len(found) == len(counted), f"{len(found) - len(counted)} callbacks are in the ledger twice"
    lost = load.answered.keys() - counted.keys()
    assert not lost, f"answered, and not in the ledger: {len(lost)} of {len(load.answered)}, as {next(iter(lost))}"
    assert not counted.keys() - load.sent, "in the ledger, and never told"
    short = [told for told, count in load.answered.items() if counted[told] < count]
    assert not short, f"answered more often than counted: {short[:3]}"
    assert not in_order or not overtaken(found), f"told later, and earlier in the ledger: {overtaken(found)}"
    ranks: dict[Told, int] = {}
    before: Counter[str] = Counter()
    for one in found:
        ranks[one.told] = before[one.told.callid]
        before[one.told.callid] += 1
    _check_records(rows, load, ranks)
    return ranks


def _check_records(rows: Rows, load: Load, ranks: Mapping[Told, int]) -> None:
    """The record of each call is what its callbacks make of it, whatever their order in the ledger."""
    found = rows(
        f"SELECT channel, callid, outcome, keys, revisions FROM calls WHERE first_seen_us >= {load.started_us}"
    )
    calls = {told.callid for told in ranks}
    assert sorted(callid for _, callid, *_ in found) == sorted(calls), "calls without callbacks, or a call twice"
    for _, callid, outcome, keys, revisions in found:
        if all(Told(callid, step) in ranks for step in range(len(steps_of(callid)))):
            record, expected = (outcome, json.loads(keys), revisions), (outcome_of(callid), keys_of(callid), 0)
            assert record == expected, f"the record of {callid} is {record}, not {expected}"


def check_taken(taken: Sequence[Taken], load: Load, ranks: Mapping[Told, int]) -> int:
    """A receiver of webhooks was told everything answered, each call in the ledger's order; how often something twice."""
    ids: defaultdict[Told, set[str]] = defaultdict(set)
    accepted: defaultdict[str, set[int]] = defaultdict(set)
    repeats = 0
    for one in taken:
        told = read(one.document["data"]["callback"]["raw"].encode())
        if told not in load.sent:
            continue  # of a load before this one, refused then and stored later all the same
        assert told in ranks, f"{told} was taken, and is not in the ledger"
        rank, before = ranks[told], accepted[told.callid]
        assert rank in (len(before) - 1, len(before)), (
            f"{told}, the call's number {rank}, came after {before}: {_story(taken, told.callid)}"
        )
        repeats += rank in before
        ids[told].add(one.id)
        if one.status == 200:
            before.add(rank)
    untold = [told for told in load.answered if ranks[told] not in accepted[told.callid]]
    assert not untold, f"answered, and never taken: {len(untold)} of {len(load.answered)}, as {untold[0]}"
    assert all(len(known) == 1 for known in ids.values()), "a repeat by another id"
    assert len(set().union(*ids.values())) == len(ids), "one id for two callbacks"
    return repeats


def _story(taken: Sequence[Taken], callid: str) -> list[tuple[float, str, int]]:
    """When a receiver took what of a call, and what it answered."""
    return [(one.at_s, one.id, one.status) for one in taken if one.callid == callid]
