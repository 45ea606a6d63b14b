"""The proof's own proof: what must never be is found, each fault by its own words."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from cluster.calls import Reported, keys_of, outcome_of, read, spaced, steps_of
from cluster.checking import check_ledger, check_taken
from cluster.load import Load
from receivers.process import Taken

CALLIDS = [f"d942888{digit}-122b-11e1-b85c-61cd3cbb3210" for digit in "0123"]
"""One of each kind of call."""

REPORTED = [Reported(callid, step) for callid in CALLIDS for step in range(len(steps_of(callid)))]


class World(NamedTuple):
    """A ledger and a receiver's log as they should be, for a test to damage."""

    callbacks: list[list[Any]]
    calls: list[list[Any]]
    taken: list[Taken]

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the ledger answers."""
        return [tuple(row) for row in (self.callbacks if "FROM callbacks" in statement else self.calls)]


def taken(reported: Reported, status: int = 200, id_: str | None = None) -> Taken:
    """One request of a webhook."""
    data = {"call": {"callid": reported.callid}, "callback": {"raw": reported.body.decode()}}
    body = json.dumps({"type": "x", "data": data}).encode()
    return Taken(0.0, "POST", "/told", id_ or f"{reported.callid}/{reported.step}", {}, body, status, 1)


@pytest.fixture
def world() -> World:
    """Four calls of which everything was delivered, once."""
    return World(
        [[place, reported.body, 0] for place, reported in enumerate(REPORTED, 1)],
        [
            [
                "default",
                callid,
                outcome_of(callid),
                json.dumps(keys_of(callid)),
                0,
            ]
            for callid in CALLIDS
        ],
        [taken(reported) for reported in REPORTED],
    )


@pytest.fixture
def load() -> Load:
    """Who sent it, and was answered each time."""
    load = Load([])
    load.sent.update(REPORTED)
    load.answered.update(REPORTED)
    return load


def test_a_sound_world_is_sound(world: World, load: Load) -> None:
    """Nothing is found where nothing is wrong, with refusals and repeats in the order of the call."""
    ranks = check_ledger(world.rows, load)
    first, *others = world.taken
    assert check_taken([taken(REPORTED[0], status=503), first, first, *others], load, ranks) == 1


def test_a_webhook_without_a_callback_is_found(world: World, load: Load) -> None:
    """What was delivered is in the ledger."""
    ranks = check_ledger(world.rows, load)
    del ranks[REPORTED[-1]]
    with pytest.raises(AssertionError, match="not in the ledger"):
        check_taken(world.taken, load, ranks)


def test_the_order_of_the_ledger_is_that_of_the_relay(world: World, load: Load) -> None:
    """Where a callback may overtake another on its way into the ledger, the webhooks follow the ledger."""
    _swap(world)
    world.callbacks.sort()
    ranks = check_ledger(world.rows, load, in_order=False)
    with pytest.raises(AssertionError, match="number 1, came after set"):
        check_taken(world.taken, load, ranks)
    world.taken[0], world.taken[1] = world.taken[1], world.taken[0]
    assert check_taken(world.taken, load, ranks) == 0


def test_a_repeat_is_known_in_other_bytes() -> None:
    """A callback is the same however it is spaced."""
    assert {read(spaced(reported.body)) for reported in REPORTED for _ in range(5)} == set(REPORTED)


def _swap(world: World) -> None:
    world.callbacks[0][0], world.callbacks[1][0] = world.callbacks[1][0], world.callbacks[0][0]


LEDGER_FAULTS: dict[str, Callable[[World], object]] = {
    "not in the ledger": lambda world: world.callbacks.pop(3),
    "in the ledger twice": lambda world: world.callbacks.append([99, REPORTED[0].body, 0]),
    "never told": lambda world: world.callbacks.append([99, steps_of(f"e{CALLIDS[0][1:]}")[0], 0]),
    "told later, and earlier": _swap,
    "without callbacks": lambda world: world.calls.append(["default", "other", "pending", "[]", 0]),
    "a call twice": lambda world: world.calls.append(world.calls[0]),
    "unanswered": lambda world: world.calls[0].__setitem__(2, "unanswered"),
}


@pytest.mark.parametrize("words", LEDGER_FAULTS)
def test_faults_of_a_ledger_are_found(words: str, world: World, load: Load) -> None:
    """A callback lost, doubled, invented, out of order; a record that its callbacks do not make."""
    LEDGER_FAULTS[words](world)
    with pytest.raises(AssertionError, match=words):
        check_ledger(world.rows, load)


def test_a_repeat_that_was_not_counted_is_found(world: World, load: Load) -> None:
    """What was answered twice is counted twice."""
    load.answered[REPORTED[0]] += 1
    with pytest.raises(AssertionError, match="more often than counted"):
        check_ledger(world.rows, load)


RECEIVER_FAULTS: dict[str, Callable[[list[Taken]], object]] = {
    "never taken": lambda log: log.pop(),
    "came after": lambda log: log.insert(0, log.pop(1)),
    "number 2, came after {0}": lambda log: log.pop(1),
    "by another id": lambda log: log.append(taken(REPORTED[-1], id_="other")),
    "one id for two": lambda log: log.__setitem__(-1, taken(REPORTED[-1], id_=log[0].id)),
    "answered, and never taken": lambda log: log.__setitem__(-1, taken(REPORTED[-1], status=503)),
}


@pytest.mark.parametrize("words", RECEIVER_FAULTS)
def test_faults_of_a_relay_are_found(words: str, world: World, load: Load) -> None:
    """A delivery lost, overtaken, left out, repeated under another id, or dead."""
    ranks = check_ledger(world.rows, load)
    RECEIVER_FAULTS[words](world.taken)
    with pytest.raises(AssertionError, match=words):
        check_taken(world.taken, load, ranks)
