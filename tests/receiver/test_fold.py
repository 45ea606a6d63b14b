"""Whatever comes, in whatever order and however often: what the handlers get in the end is the gateway's own record."""

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from builders import AnyCallback, callbacks, folded, received
from hypothesis import given
from hypothesis import strategies as st
from receiver.conftest import TOKEN, place_for
from receiver.stores import STORES, close

from answerback.domain.models import Call
from answerback.ledger import Ledger, open_sqlite
from answerback.receiver import Event, ReadableStore, Receiver

fresh = count()


class Sides(NamedTuple):
    """A receiver with the events that it has handed over, its store, and a gateway's ledger."""

    voice: Receiver
    events: list[Event]
    store: ReadableStore
    ledger: Ledger


@pytest.fixture(scope="module", params=STORES)
def sides(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """One of each for all examples, each of which has a callid of its own."""
    home: Path = tmp_path_factory.mktemp("fold")
    store, events = STORES[request.param](place_for(request.param, home)), list[Event]()
    voice = Receiver(token=TOKEN, store=store, threads=0)
    voice.on("*")(events.append)
    with closing(voice), closing(open_sqlite(home / "ledger", allow_unsafe_filesystem=True)) as ledger:
        yield Sides(voice, events, store, ledger)
    close(store)


@given(said=st.lists(callbacks(st.just("")), min_size=1, max_size=5), data=st.data())
def test_the_last_event_has_the_gateway_s_record(sides: Sides, said: list[AnyCallback], data: st.DataObject) -> None:
    """In batches or alone, with repeats, and handled now and then; another order changes nothing but that of the keys."""
    repeats = data.draw(st.lists(st.sampled_from(said), max_size=3))
    arriving = data.draw(st.permutations(said + repeats))
    sizes = data.draw(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=8, max_size=8))
    callid = f"{next(fresh)}"
    items = [
        received(msgspec.structs.replace(one, callid=callid), after_s=number) for number, one in enumerate(arriving)
    ]
    other_order = data.draw(st.permutations(range(len(items))))
    waiting = list(items)
    sides.events.clear()
    for size, handles in sizes:
        sides.store.record(waiting[:size])
        del waiting[:size]
        if handles:
            sides.voice.dispatch()
    sides.voice.dispatch()
    assert len(sides.events) == len({one.fingerprint for one in items})
    record = sides.events[-1].call
    assert sides.voice.call(callid) == record
    sides.ledger.record(items)
    assert _stored(record) == sides.ledger.call(callid)
    assert _unordered(record) == _unordered(folded(items[number] for number in other_order))
    outcomes = [event.call.outcome for event in sides.events if event.outcome_changed]
    assert outcomes == list(dict.fromkeys(outcomes))
    assert outcomes == [] or outcomes[-1] == record.outcome


def _stored(call: Call) -> Call:
    """As the ledger gives it: the fingerprints are not part of it."""
    return msgspec.structs.replace(call, fingerprints=frozenset())


def _unordered(call: Call) -> Call:
    """Without what depends on the order of arrival."""
    return msgspec.structs.replace(
        call, keys=tuple(sorted(call.keys)), first_seen_at=call.first_seen_at.min, updated_at=call.first_seen_at.min
    )
