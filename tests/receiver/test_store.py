"""What a store promises: each kind keeps it."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from builders import NOON, key_press, received, rejected, status, unanswered
from receiver.conftest import place_for
from receiver.stores import LASTING, STORES, close

from answerback.domain.models import ParsedCallback, RawCallback
from answerback.receiver import ReadableStore, memory_store, sql_store

FIRST, SECOND, THIRD = (received(key_press(key=key)) for key in "123")
OTHER = received(status(callid="other"))


class Taken:
    """Takes events of a store, and remembers them by the bytes that came."""

    def __init__(self, store: ReadableStore) -> None:
        self._store = store
        self.histories: list[list[bytes]] = []
        self.failures: list[int] = []

    def take(self, retry_s: float | None = None) -> bool:
        """Take the next event, and say when to try it again."""

        def handle(callbacks: Sequence[RawCallback], failures: int) -> float | None:
            self.histories.append([one.raw for one in callbacks])
            self.failures.append(failures)
            return retry_s

        return self._store.deliver(handle)

    def take_all(self) -> list[bytes]:
        """Take what is due; the callbacks that were handed over since the beginning."""
        while self.take():
            pass
        return [history[-1] for history in self.histories]


@pytest.fixture
def taken(store: ReadableStore) -> Taken:
    """Takes events of the store."""
    return Taken(store)


def test_an_event_comes_with_all_before_it(store: ReadableStore, taken: Taken) -> None:
    """The callbacks of its call in the order of their arrival, itself the last, as they came in."""
    store.record([FIRST, OTHER, SECOND])
    taken.take_all()
    assert sorted(taken.histories) == sorted([[FIRST.raw], [FIRST.raw, SECOND.raw], [OTHER.raw]])
    assert taken.histories.index([FIRST.raw]) < taken.histories.index([FIRST.raw, SECOND.raw])
    assert store.callbacks("default", FIRST.callback.callid) == [
        RawCallback("default", one.raw, NOON) for one in (FIRST, SECOND)
    ]
    assert store.callbacks("default", "none") == []


def test_what_is_done_does_not_come_again(store: ReadableStore, taken: Taken) -> None:
    """An event is taken once, and nothing waits then."""
    store.record([FIRST])
    assert store.backlog().events == 1
    assert store.backlog().lag_s > 0
    assert taken.take()
    assert not taken.take()
    assert store.backlog() == (0, 0.0)


def test_a_repeat_before_it_was_handled_is_the_same_event(store: ReadableStore, taken: Taken) -> None:
    """Of a callback that comes twice in a batch, or again in the next, there is one event."""
    store.record([FIRST, FIRST])
    store.record([FIRST])
    assert taken.take_all() == [FIRST.raw]
    assert len(store.callbacks("default", FIRST.callback.callid)) == 1


def test_a_repeat_after_it_was_handled_comes_behind_all_there_is(store: ReadableStore, taken: Taken) -> None:
    """It stands twice among the callbacks: where it came first, and at the end."""
    store.record([FIRST, SECOND])
    taken.take_all()
    store.record([FIRST])
    taken.take_all()
    assert taken.histories[-1] == [FIRST.raw, SECOND.raw, FIRST.raw]
    assert len(store.callbacks("default", FIRST.callback.callid)) == 2


def test_a_flood_for_one_call_costs_no_more_with_each(
    store: ReadableStore, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event comes with the first callbacks of its call, so many and no more, and a repeat with its own, too."""
    for module in (memory_store, sql_store):
        monkeypatch.setattr(module, "MAX_CALLBACKS", 2)
    fourth = received(key_press(key="4"))
    store.record([FIRST, SECOND, THIRD, fourth])
    taken.take_all()
    for repeat in (fourth, FIRST):
        store.record([repeat])
        taken.take_all()
    first_two = [FIRST.raw, SECOND.raw]
    assert taken.histories[-3:] == [
        [*first_two, fourth.raw],
        [*first_two, fourth.raw, fourth.raw],
        [*first_two, FIRST.raw],
    ]
    assert [one.raw for one in store.callbacks("default", FIRST.callback.callid)] == first_two


def test_what_failed_holds_up_its_own_call_alone(store: ReadableStore, taken: Taken) -> None:
    """Later events of that call wait for it, however many they are; other calls go on."""
    store.record([FIRST])
    assert taken.take(60)
    store.record([SECOND, OTHER])
    assert taken.take_all() == [FIRST.raw, OTHER.raw]
    assert store.backlog().events == 2


def test_what_failed_is_due_again(store: ReadableStore, taken: Taken) -> None:
    """With the number of its failures; when it is done those behind it come in order."""
    store.record([FIRST, SECOND, THIRD])
    for _ in range(3):
        assert taken.take(0)
    assert taken.take_all() == [FIRST.raw] * 4 + [SECOND.raw, THIRD.raw]
    assert taken.failures == [0, 1, 2, 3, 0, 0]


def test_a_repeat_is_in_its_place_too(store: ReadableStore, taken: Taken) -> None:
    """While an event of the call waits or is with somebody, a repeat waits; the repeat's own failures are counted from 0."""
    store.record([FIRST])
    assert taken.take(0)
    taken.take_all()
    during: list[bool] = []

    def handle(_callbacks: Sequence[RawCallback], _failures: int) -> None:
        store.record([FIRST])
        during.append(taken.take())

    store.record([SECOND])
    assert store.deliver(handle)
    assert during == [False]
    assert taken.take_all()[-1] == FIRST.raw
    assert taken.failures[-1] == 0


def test_one_event_of_a_call_is_out_at_a_time(store: ReadableStore, taken: Taken) -> None:
    """While somebody has an event, nobody gets it or another of its call; those of other calls they do."""
    store.record([FIRST, SECOND, OTHER])
    has_one, may_end = threading.Event(), threading.Event()

    def handle(callbacks: Sequence[RawCallback], _failures: int) -> None:
        first.append(callbacks[-1].raw)
        has_one.set()
        assert may_end.wait(30)

    first: list[bytes] = []
    holding = threading.Thread(target=store.deliver, args=(handle,))
    holding.start()
    assert has_one.wait(30)
    meanwhile = taken.take_all()
    may_end.set()
    holding.join()
    assert meanwhile == ([OTHER.raw] if first == [FIRST.raw] else [FIRST.raw, SECOND.raw])


def test_channels_are_apart(store: ReadableStore, taken: Taken) -> None:
    """The same callid in two channels is two calls."""
    theirs = received(FIRST.callback, channel="theirs")
    store.record([FIRST, theirs])
    taken.take_all()
    assert taken.histories == [[FIRST.raw]] * 2
    assert [one.channel for one in store.callbacks("theirs", FIRST.callback.callid)] == ["theirs"]


def test_nobody_who_raises_loses_an_event(store: ReadableStore) -> None:
    """`handle` must not raise; where it does, as in a test that is interrupted, the event is not done."""

    def handle(_callbacks: Sequence[RawCallback], _failures: int) -> None:
        raise KeyboardInterrupt

    store.record([FIRST])
    with pytest.raises(KeyboardInterrupt):
        store.deliver(handle)
    assert store.backlog().events == 1


def test_rejected_bodies_are_no_events(store: ReadableStore, taken: Taken) -> None:
    """They go the same way, and are nobody's call."""
    store.record([rejected(b"{"), FIRST, rejected(b"")])
    assert taken.take_all() == [FIRST.raw]


def test_any_number_at_once(store: ReadableStore, taken: Taken) -> None:
    """From several threads: each callback is one event."""
    batches: list[list[ParsedCallback]] = [
        [received(unanswered(callid=f"{thread} {number}")) for number in range(100)] for thread in range(4)
    ]
    recording = [threading.Thread(target=store.record, args=(batch,)) for batch in batches]
    for thread in recording:
        thread.start()
    for thread in recording:
        thread.join()
    assert sorted(taken.take_all()) == sorted(one.raw for batch in batches for one in batch)


@pytest.mark.parametrize("name", LASTING)
def test_what_was_recorded_is_there_for_the_next(name: str, tmp_path: Path) -> None:
    """Another store on the same place goes on where the first has ended, and several may be open."""
    place = place_for(name, tmp_path)
    first, second = STORES[name](place), STORES[name](place)
    first.record([FIRST, SECOND])
    taken = Taken(first)
    assert taken.take()
    assert Taken(second).take_all() == [SECOND.raw]
    assert not taken.take()
    assert second.callbacks("default", FIRST.callback.callid) == first.callbacks("default", FIRST.callback.callid)
    for store in (first, second):
        close(store)
