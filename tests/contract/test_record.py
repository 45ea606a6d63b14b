import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count

import msgspec
import pytest
from builders import (
    NOON,
    UUID1,
    AnyCallback,
    callbacks,
    failure,
    folded,
    key_press,
    received,
    rejected,
    status,
    unanswered,
    wire,
)
from contract.backends import OpenLedger, few_examples
from contract.pagination import walked
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.models import Call, CallbackKind, KeyPress, Outcome, ParsedCallback, RejectedCallback, Result
from answerback.errors import AmbiguousCall, ResourceNotFound
from answerback.ledger import Disposition, Ledger

fresh = count()


def stored(call: Call) -> Call:
    """The record as it comes back: the fingerprints are not part of it."""
    return msgspec.structs.replace(call, fingerprints=frozenset())


def as_read(callback: AnyCallback) -> Call:
    """The record of one callback, as it comes back."""
    return stored(folded([received(callback)]))


@pytest.mark.parametrize(
    "callback",
    [
        status(),
        status(kind=CallbackKind.CODE),
        unanswered(call_from="4001234567", fee_minutes=None),
        unanswered(result=Result.ERROR, started_at=None, ended_at=None),
        key_press(key="*"),
        failure(),
        failure(code=2**31 - 1, reason=""),
        status(callid="x" * 256, mobile="号" * 256, nationcode="1" * 256, call_from="'; -- %s ? :a"),
        status(started_at=datetime.max.replace(microsecond=0, tzinfo=UTC), fee_minutes=2**31 - 1),
        status(answered_at=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        status(callid=UUID1.replace("-", "")),
        status(callid="☎ 50%/?#&\"'\\"),
    ],
)
def test_every_field_comes_back_as_it_was_stored(ledger: Ledger, callback: AnyCallback) -> None:
    """A record that was read is the record that was folded, to the last field."""
    item = received(callback)
    (receipt,) = ledger.record([item])
    assert (receipt.disposition, receipt.id is None) == (Disposition.STORED, False)
    assert ledger.call(callback.callid) == as_read(callback)


def test_what_is_stored_outlasts_the_process(reopen: OpenLedger) -> None:
    """A ledger opened anew holds what the former one took."""
    reopen().record([received(status()), received(key_press(key="7"), after_s=1)])
    assert reopen().call(UUID1) == stored(folded([received(status()), received(key_press(key="7"), after_s=1)]))


def test_a_time_of_receipt_is_kept_to_the_microsecond(ledger: Ledger) -> None:
    """Times of our own clock come back exact, and as UTC from whatever zone they came."""
    for microsecond in (0, 1, 123457, 999999):
        callid = f"call-{microsecond}"
        received_at = NOON.replace(microsecond=microsecond)
        ledger.record([msgspec.structs.replace(received(status(callid=callid)), received_at=received_at)])
        call, (entry,) = ledger.call(callid), ledger.callbacks(callid).items
        assert call.first_seen_at == call.updated_at == entry.received_at == received_at
        assert entry.received_at.tzinfo is UTC


def test_an_unknown_call_is_not_found(ledger: Ledger) -> None:
    """A call that there is not is ResourceNotFound, in an empty ledger and in a full one."""
    for _ in range(2):
        with pytest.raises(ResourceNotFound, match="no call other"):
            ledger.call("other")
        with pytest.raises(ResourceNotFound, match="no call other in channel alerts"):
            ledger.callbacks("other", "alerts")
        ledger.record([received(status()), received(status(), channel="alerts")])


def test_a_callid_is_exact(ledger: Ledger) -> None:
    """Case, spaces and dashes make other callids."""
    forms = [
        UUID1,
        UUID1.upper(),
        UUID1.replace("-", ""),
        f"{UUID1} ",
        f"x{UUID1}",
        f"t{UUID1}",
        "Ａ",
        "A",
        "a",
        "ﬁ",
        "fi",
    ]
    ledger.record([received(status(callid=callid)) for callid in forms])
    assert [ledger.call(callid).callid for callid in forms] == forms
    assert len(ledger.calls().items) == len(forms)


@pytest.mark.parametrize("callback", [status(), key_press(), failure()])
def test_a_repeat_is_counted_and_not_stored(reopen: OpenLedger, callback: AnyCallback) -> None:
    """In one batch, in the next, and after a restart: the same callback keeps its first id and raises a counter."""
    ledger = reopen()
    first, again = ledger.record([received(callback), received(callback, after_s=1)])
    (later,) = ledger.record([received(callback, after_s=2)])
    ledger = reopen()
    restarted = ledger.record([received(callback, after_s=3), received(callback, after_s=4)])
    assert first.disposition is Disposition.STORED
    assert [(receipt.disposition, receipt.id) for receipt in (again, later, *restarted)] == [
        (Disposition.DUPLICATE, first.id)
    ] * 4
    (entry,) = ledger.callbacks(callback.callid).items
    assert (entry.id, entry.duplicates, entry.received_at) == (first.id, 4, NOON)
    assert entry.last_duplicate_at == NOON + timedelta(seconds=4)
    assert ledger.call(callback.callid) == as_read(callback)


def test_a_repeat_in_other_bytes_keeps_the_first_bytes(ledger: Ledger) -> None:
    """What repeats is the content: the bytes on record are those that came first."""
    ledger.record([received(status())])
    (receipt,) = ledger.record([received(status(), raw=b" " + wire(status()))])
    (entry,) = ledger.callbacks(UUID1).items
    assert (receipt.disposition, entry.raw, entry.duplicates) == (Disposition.DUPLICATE, wire(status()), 1)


def test_a_first_callback_has_no_repeats(ledger: Ledger) -> None:
    """Before anything repeats there is no time of a repeat."""
    ledger.record([received(status())])
    (entry,) = ledger.callbacks(UUID1).items
    assert (entry.duplicates, entry.last_duplicate_at) == (0, None)


def test_a_revision_is_kept_and_folded(ledger: Ledger) -> None:
    """The same callid with another content is news: both are kept, one record tells of them."""
    one, other = received(unanswered()), received(status(), after_s=5)
    first, second = (ledger.record([item])[0] for item in (one, other))
    assert (first.disposition, second.disposition, first.id != second.id) == (
        Disposition.STORED,
        Disposition.STORED,
        True,
    )
    call = ledger.call(UUID1)
    assert call == stored(folded([one, other]))
    assert (call.outcome, call.revisions) == (Outcome.ANSWERED, 1)
    assert [entry.raw for entry in ledger.callbacks(UUID1).items] == [one.raw, other.raw]


def test_a_repeat_of_the_first_after_a_revision_is_still_a_repeat(ledger: Ledger) -> None:
    """Whatever came between, what was seen once is no news."""
    for item in (received(status()), received(unanswered()), received(failure())):
        ledger.record([item])
    before = ledger.call(UUID1)
    (receipt,) = ledger.record([received(status(), after_s=60)])
    assert receipt.disposition is Disposition.DUPLICATE
    assert ledger.call(UUID1) == before


def test_callbacks_come_back_in_order_with_their_exact_bytes(ledger: Ledger) -> None:
    """Every callback of a call, in order of arrival, byte for byte: BOM, NUL, bytes that are no text."""
    raws = [b"\xef\xbb\xbf{}", b"\x00\xff\xfe", b"", "空号".encode(), b"x" * 65_536]
    items = [received(key_press(key=str(at)), raw=raw, after_s=-at) for at, raw in enumerate(raws)]
    ledger.record(items[:2])
    ledger.record([received(key_press(callid="another")), *items[2:]])
    entries = ledger.callbacks(UUID1).items
    assert [entry.raw for entry in entries] == raws
    assert [entry.fingerprint for entry in entries] == [item.fingerprint for item in items]
    assert [entry.received_at for entry in entries] == [item.received_at for item in items]
    assert {entry.kind for entry in entries} == {CallbackKind.KEY}
    assert sorted(entry.id for entry in entries) == [entry.id for entry in entries]


def test_keys_gather_across_batches(ledger: Ledger) -> None:
    """The keys of a call keep their order of arrival over several batches."""
    for keys in ("31", "#", "43"):
        ledger.record([received(key_press(key=key)) for key in keys])
    assert ledger.call(UUID1).keys == ("3", "1", "#", "4")


def test_channels_never_mix(ledger: Ledger) -> None:
    """The same callid in two channels is two calls, with their own records, callbacks and repeats."""
    ledger.record([received(status(), channel="alerts"), received(unanswered(), channel="codes")])
    (again,) = ledger.record([received(status(), channel="codes")])
    assert again.disposition is Disposition.STORED
    alerts, codes = ledger.call(UUID1, "alerts"), ledger.call(UUID1, "codes")
    assert (alerts.channel, alerts.revisions, alerts.outcome) == ("alerts", 0, Outcome.ANSWERED)
    assert (codes.channel, codes.revisions, codes.outcome) == ("codes", 1, Outcome.ANSWERED)
    assert [entry.raw for entry in ledger.callbacks(UUID1, "alerts").items] == [wire(status())]
    assert [entry.raw for entry in ledger.callbacks(UUID1, "codes").items] == [wire(unanswered()), wire(status())]


def test_an_ambiguous_callid_names_its_channels(ledger: Ledger) -> None:
    """Without a channel the error names those that hold the callid, and no others."""
    ledger.record([received(status(), channel=channel) for channel in ("codes", "alerts", "zeta")])
    ledger.record([received(status(callid="other"), channel=channel) for channel in ("middle", "alerts", "_last")])
    for read in (ledger.call, ledger.callbacks):
        with pytest.raises(AmbiguousCall) as caught:
            read(UUID1)
        assert caught.value.channels == ("alerts", "codes", "zeta")
        assert caught.value.callid == UUID1


def test_one_holder_need_not_be_named(ledger: Ledger) -> None:
    """A callid of one channel alone is found without the channel's name, wherever that sorts."""
    channels = ["a", "b", "c", "default", "z"]
    ledger.record([received(status(callid=f"only-{channel}"), channel=channel) for channel in channels])
    assert [ledger.call(f"only-{channel}").channel for channel in channels] == channels


def test_a_named_channel_never_answers_for_another(ledger: Ledger) -> None:
    """A call of another channel is not found in this one."""
    ledger.record([received(status(), channel="alerts")])
    with pytest.raises(ResourceNotFound):
        ledger.call(UUID1, "codes")
    with pytest.raises(ResourceNotFound):
        ledger.callbacks(UUID1, "codes")


def test_an_empty_batch_is_nothing(ledger: Ledger) -> None:
    """No items, no receipts."""
    assert ledger.record([]) == []


def test_a_mixed_batch_gets_a_receipt_for_each_in_order(ledger: Ledger) -> None:
    """New, repeated, refused and repeatedly refused, in any mixture: each receipt stands at its item's place."""
    batch: list[ParsedCallback | RejectedCallback] = [
        rejected(b"{"),
        received(status()),
        received(key_press()),
        rejected(b"{", channel="codes"),
        received(status()),
        rejected(b"{"),
        received(unanswered(callid="other")),
    ]
    receipts = ledger.record(batch)
    q, r, s = Disposition.QUARANTINED, Disposition.DUPLICATE, Disposition.STORED
    assert [receipt.disposition for receipt in receipts] == [q, s, s, q, r, r, s]
    assert receipts[4].id == receipts[1].id
    assert receipts[5].id == receipts[0].id
    assert ledger.call(UUID1).keys == ("1",)
    assert len(ledger.quarantined().items) == 2


@pytest.mark.parametrize("size", [1, 2, 3, 63, 64, 65, 127, 128, 129, 255, 256, 257, 384, 1000])
def test_a_batch_of_any_size_is_stored_whole(ledger: Ledger, size: int) -> None:
    """Batches just below, at and above a power of two lose nothing, as news, as revisions and as repeats."""
    first = [received(unanswered(callid=f"call-{n}"), after_s=n) for n in range(size)]
    second = [received(status(callid=f"call-{n}"), after_s=n) for n in range(size)]
    assert Counter(receipt.disposition for receipt in ledger.record(first)) == {Disposition.STORED: size}
    receipts = ledger.record([*second, *first])
    assert [receipt.disposition for receipt in receipts] == [Disposition.STORED] * size + [Disposition.DUPLICATE] * size
    page = ledger.calls(limit=size + 1)
    assert [call.callid for call in page.items] == [f"call-{n}" for n in reversed(range(size))]
    assert {(call.outcome, call.revisions) for call in page.items} == {(Outcome.ANSWERED, 1)}
    for n in {0, size // 2, size - 1}:
        assert [(entry.raw, entry.duplicates) for entry in ledger.callbacks(f"call-{n}").items] == [
            (first[n].raw, 1),
            (second[n].raw, 0),
        ]


def test_many_callbacks_of_one_call_in_one_batch(ledger: Ledger) -> None:
    """A thousand different callbacks of one call make one record."""
    items = [received(key_press(key=str(n)), after_s=n) for n in range(1000)]
    receipts = ledger.record(items)
    assert len({receipt.id for receipt in receipts}) == 1000
    assert ledger.call(UUID1) == stored(folded(items))
    assert len(list(walked(ledger, UUID1, 500))) == 1000


BATCHES = st.lists(st.lists(callbacks(st.sampled_from(["a", UUID1, "c"])), max_size=6), min_size=1, max_size=5)


@given(BATCHES, st.data())
@few_examples()
def test_the_ledger_says_what_folding_says(
    ledger: Ledger, batches: list[list[AnyCallback]], data: st.DataObject
) -> None:
    """Any callbacks in any split into batches give the records that folding them in memory gives; keys by their times."""
    channels = [f"channel-{next(fresh)}" for _ in range(2)]
    calls: dict[tuple[str, str], list[ParsedCallback]] = {}
    for batch in batches:
        items = [
            received(callback, channel=data.draw(st.sampled_from(channels)), after_s=data.draw(st.integers(-9, 9)))
            for callback in batch
        ]
        for item, receipt in zip(items, ledger.record(items), strict=True):
            history = calls.setdefault((item.channel, item.callback.callid), [])
            known = item.fingerprint in {former.fingerprint for former in history}
            assert receipt.disposition is (Disposition.DUPLICATE if known else Disposition.STORED)
            history.append(item)
    for (channel, callid), history in calls.items():
        pressed = sorted({item.fingerprint: item for item in reversed(history)}.values(), key=history.index)
        pressed.sort(key=lambda item: item.received_at)
        keys = tuple(dict.fromkeys(item.callback.key for item in pressed if isinstance(item.callback, KeyPress)))
        expected = msgspec.structs.replace(stored(folded(history)), keys=keys)
        assert ledger.call(callid, channel) == expected
        repeats = Counter(item.fingerprint for item in history)
        entries = ledger.callbacks(callid, channel).items
        assert [(entry.fingerprint, entry.duplicates + 1) for entry in entries] == list(repeats.items())


def test_threads_take_their_turns(ledger: Ledger) -> None:
    """Several threads may record at once: nothing is lost, nothing is doubled, every repeat is counted."""
    threads, rounds = 4, 12
    failures: list[BaseException] = []

    def work(mine: int) -> None:
        try:
            for n in range(rounds):
                shared = received(status(callid=f"shared-{n}"))
                own = received(status(callid=f"own-{mine}-{n}"))
                key = received(key_press(callid=f"shared-{n}", key=str(mine)))
                ledger.record([shared, own, key])
                ledger.call(f"own-{mine}-{n}")
        except BaseException as error:  # noqa: BLE001  # told to the test's own thread
            failures.append(error)

    workers = [threading.Thread(target=work, args=(mine,)) for mine in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert len(ledger.calls(limit=500).items) == rounds + threads * rounds
    for n in range(rounds):
        assert sorted(ledger.call(f"shared-{n}").keys) == [str(mine) for mine in range(threads)]
        assert [
            entry.duplicates for entry in ledger.callbacks(f"shared-{n}").items if entry.kind is CallbackKind.PROMPT
        ] == [threads - 1]


def test_two_writers_of_one_store_take_their_turns(reopen: OpenLedger) -> None:
    """A second process at the same store sees what the first wrote, and neither overwrites the other."""
    one, other = reopen(), reopen()
    for n in range(20):
        (one if n % 2 else other).record([received(key_press(key=str(n))), received(status(callid=f"call-{n}"))])
    for ledger in (one, other):
        assert ledger.call(UUID1).keys == tuple(str(n) for n in range(20))
        assert len(ledger.calls().items) == 21


def test_a_probe_leaves_no_trace(ledger: Ledger) -> None:
    """To learn whether the store works changes nothing that is shown."""
    ledger.record([received(status())])
    for _ in range(3):
        ledger.probe()
    assert (len(ledger.calls().items), ledger.quarantine_size()) == (1, (0, 0))


def test_the_ledger_serves_on_after_close(reopen: OpenLedger) -> None:
    """Closing lets go of the files; closing twice does no harm."""
    ledger = reopen()
    ledger.record([received(status())])
    ledger.close()
    ledger.close()
    assert reopen().call(UUID1) == as_read(status())


def test_keys_are_in_the_order_in_which_they_came_in(ledger: Ledger) -> None:
    """Also where a press that came earlier is stored later, as when several recorders drain one stream."""
    ledger.record([received(key_press(key="3"), after_s=3), received(status(), after_s=4)])
    ledger.record([received(key_press(key="4"), after_s=4), received(key_press(key="1"), after_s=1)])
    ledger.record([received(key_press(key="2"), after_s=2)])
    assert ledger.call(UUID1).keys == ("1", "2", "3", "4")
