from datetime import timedelta
from functools import partial

import pytest
from builders import ADMIN, NOON, UUID1, failure, folded, key_press, received, rejected, status, wire
from contract.backends import OpenLedger
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.models import Outcome, QuarantineItem
from answerback.errors import CallbackRejected, InvalidCallbackField, InvalidJson, ResourceNotFound
from answerback.ledger import Disposition, Ledger


def raws(ledger: Ledger) -> list[bytes]:
    """The bodies in quarantine, oldest first."""
    return [ledger.quarantined_body(id_).raw for id_ in ledger.requeueable_ids()]


@pytest.mark.parametrize("raw", [b"", b"\x00\xff", "号".encode(), b"x" * 65_536, wire(status())])
def test_a_refused_body_is_kept_with_its_reason(reopen: OpenLedger, raw: bytes) -> None:
    """What could not be parsed is kept byte for byte, with the response to its sender, and outlasts the process."""
    (receipt,) = reopen().record([rejected(raw, channel="alerts", reason="voicekey_callback.callid: is empty")])
    assert receipt.disposition is Disposition.QUARANTINED
    assert receipt.id is not None
    ledger = reopen()
    assert ledger.quarantined_body(receipt.id) == QuarantineItem(
        id=receipt.id,
        channel="alerts",
        result=3003,
        reason="voicekey_callback.callid: is empty",
        received_at=NOON,
        duplicates=0,
        last_duplicate_at=None,
        size_bytes=len(raw),
        raw=raw,
    )
    assert ledger.quarantined().items == [ledger.quarantined_body(receipt.id)]
    assert ledger.requeueable_ids() == [receipt.id]
    assert ledger.quarantine_size() == (1, len(raw))


def test_what_is_not_in_quarantine_is_not_found(ledger: Ledger) -> None:
    """An id that nothing has is said to be nothing's."""
    for read in (ledger.quarantined_body, partial(ledger.requeue, actor=ADMIN)):
        with pytest.raises(ResourceNotFound, match="id 7"):
            read(7)


def test_the_same_bytes_are_counted_and_not_kept_twice(reopen: OpenLedger) -> None:
    """In one batch, in the next and after a restart: a repeat raises a counter and keeps its first id."""
    ledger = reopen()
    first, again = ledger.record([rejected(b"{"), rejected(b"{", after_s=1)])
    receipts = [again, *ledger.record([rejected(b"{", after_s=2)])]
    ledger = reopen()
    receipts += ledger.record([rejected(b"{", after_s=3)])
    assert [(receipt.disposition, receipt.id) for receipt in receipts] == [(Disposition.DUPLICATE, first.id)] * 3
    (body,) = ledger.quarantined().items
    assert (body.duplicates, body.received_at, body.last_duplicate_at) == (3, NOON, NOON + timedelta(seconds=3))


def test_the_same_bytes_in_another_channel_are_kept_apart(ledger: Ledger) -> None:
    """The wall stands in quarantine too."""
    receipts = ledger.record([rejected(b"{", channel=channel) for channel in ("alerts", "codes")])
    assert [receipt.disposition for receipt in receipts] == [Disposition.QUARANTINED] * 2
    assert [body.channel for body in ledger.quarantined("alerts").items] == ["alerts"]
    assert ledger.quarantined("nobody").items == []


@given(st.integers(1, 9))
def test_pages_hold_every_body_once_newest_first(ledger: Ledger, limit: int) -> None:
    """Pages of any size have no gaps and no doubles."""
    ledger.record([rejected(b"%d" % n, channel="ab"[n % 2], after_s=n // 3) for n in range(8)])
    for channel, expected in ((None, range(8)), ("b", range(1, 8, 2))):
        found: list[bytes] = []
        cursor = None
        while True:
            page = ledger.quarantined(channel, cursor, limit)
            found += [body.raw for body in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == [b"%d" % n for n in reversed(expected)]


def test_a_full_quarantine_keeps_the_oldest(reopen: OpenLedger) -> None:
    """Past the bound in bytes the newest are dropped; what was there stays, and its repeats still count."""
    ledger = reopen(quarantine_bytes=100)
    receipts = ledger.record([rejected(b"a" * 60), rejected(b"b" * 40), rejected(b"c"), rejected(b"a" * 60)])
    assert [receipt.disposition for receipt in receipts] == [
        Disposition.QUARANTINED,
        Disposition.QUARANTINED,
        Disposition.DROPPED,
        Disposition.DUPLICATE,
    ]
    assert receipts[2].id is None
    assert raws(ledger) == [b"a" * 60, b"b" * 40]
    assert ledger.quarantine_size() == (2, 100)


def test_what_still_fits_is_kept(reopen: OpenLedger) -> None:
    """A body too large for the room that is left does not take the room of a smaller one."""
    ledger = reopen(quarantine_bytes=100)
    receipts = ledger.record([rejected(b"a" * 90), rejected(b"b" * 11), rejected(b"c" * 10), rejected(b"d" * 101)])
    q, d = Disposition.QUARANTINED, Disposition.DROPPED
    assert [receipt.disposition for receipt in receipts] == [q, d, q, d]


def test_the_bound_in_bytes_outlasts_the_process(reopen: OpenLedger) -> None:
    """A restart makes no room, a larger bound does."""
    reopen(quarantine_bytes=100).record([rejected(b"a" * 80)])
    (receipt,) = reopen(quarantine_bytes=100).record([rejected(b"b" * 21)])
    assert receipt.disposition is Disposition.DROPPED
    (receipt,) = reopen(quarantine_bytes=101).record([rejected(b"b" * 21)])
    assert receipt.disposition is Disposition.QUARANTINED


def test_the_bound_per_minute_keeps_the_oldest(reopen: OpenLedger) -> None:
    """Past the bound per minute the newest are dropped; repeats still count and cost nothing."""
    ledger = reopen(quarantine_per_minute=3)
    batch = [rejected(b"%d" % (n // 2)) for n in range(10)]
    taken = [receipt.disposition for receipt in ledger.record(batch)]
    q, r, d = Disposition.QUARANTINED, Disposition.DUPLICATE, Disposition.DROPPED
    assert taken == [q, r, q, r, q, r, d, d, d, d]
    assert raws(ledger) == [b"0", b"1", b"2"]


def test_a_flood_of_junk_keeps_no_callback_out(reopen: OpenLedger) -> None:
    """Where the quarantine is full, callbacks of the same batch are stored all the same."""
    ledger = reopen(quarantine_bytes=1, quarantine_per_minute=1)
    batch = [rejected(b"junk") if n % 2 else received(status(callid=f"call-{n}")) for n in range(100)]
    taken = [receipt.disposition for receipt in ledger.record(batch)]
    assert taken == [Disposition.STORED, Disposition.DROPPED] * 50
    assert len(ledger.calls(limit=100).items) == 50


def test_what_is_still_no_callback_stays(ledger: Ledger) -> None:
    """A body that is still refused tells why and stays in quarantine, untouched."""
    receipts = ledger.record([rejected(b"{"), rejected(b'{"voiceprompt_callback": {}}')])
    before = ledger.quarantined().items
    for receipt, error in zip(receipts, (InvalidJson, InvalidCallbackField), strict=True):
        assert receipt.id is not None
        with pytest.raises(error) as caught:
            ledger.requeue(receipt.id, ADMIN)
        assert isinstance(caught.value, CallbackRejected)
    assert ledger.quarantined().items == before
    assert ledger.calls().items == []


def test_what_is_a_callback_now_becomes_its_call(reopen: OpenLedger) -> None:
    """A body refused by an older rule is recorded as of the time it came in, and leaves quarantine."""
    ledger = reopen()
    raw = b"\xef\xbb\xbf" + wire(status())
    (receipt,) = ledger.record([rejected(raw, channel="alerts", after_s=-3600)])
    assert receipt.id is not None
    assert ledger.requeue(receipt.id, ADMIN).disposition is Disposition.STORED
    ledger = reopen()
    call, (entry,) = ledger.call(UUID1), ledger.callbacks(UUID1).items
    came_in = NOON - timedelta(seconds=3600)
    assert (call.channel, call.outcome, call.first_seen_at, call.updated_at) == (
        "alerts",
        Outcome.ANSWERED,
        came_in,
        came_in,
    )
    assert (entry.raw, entry.received_at, entry.duplicates) == (raw, came_in, 0)
    assert (ledger.requeueable_ids(), ledger.quarantine_size()) == ([], (0, 0))
    with pytest.raises(ResourceNotFound):
        ledger.requeue(receipt.id, ADMIN)


def test_a_body_read_late_joins_what_is_known(ledger: Ledger) -> None:
    """A late status joins its call as if it had been understood at once."""
    (receipt,) = ledger.record([rejected(wire(status()), after_s=-60)])
    others = [received(key_press(key="2")), received(failure())]
    ledger.record(others)
    assert receipt.id is not None
    ledger.requeue(receipt.id, ADMIN)
    call, expected = ledger.call(UUID1), folded([received(status(), after_s=-60), *others])
    assert (call.outcome, call.keys, call.failure_code) == (expected.outcome, expected.keys, expected.failure_code)
    assert (call.first_seen_at, call.updated_at) == (expected.first_seen_at, expected.updated_at)


def test_a_body_recorded_meanwhile_is_a_repeat(ledger: Ledger) -> None:
    """Where the sender sent it again and it was understood, the quarantined copy counts as repeat and leaves."""
    (refused,) = ledger.record([rejected(wire(status()), after_s=-60)])
    (first,) = ledger.record([received(status())])
    assert refused.id is not None
    receipt = ledger.requeue(refused.id, ADMIN)
    assert (receipt.disposition, receipt.id) == (Disposition.DUPLICATE, first.id)
    assert [entry.duplicates for entry in ledger.callbacks(UUID1).items] == [1]
    assert ledger.requeueable_ids() == []


def test_reading_once_more_takes_one_body_only(ledger: Ledger) -> None:
    """The other bodies stay, those of the same content in another channel too."""
    receipts = ledger.record([rejected(wire(status()), channel=channel) for channel in ("alerts", "codes")])
    assert receipts[0].id is not None
    ledger.requeue(receipts[0].id, ADMIN)
    assert [body.channel for body in ledger.quarantined().items] == ["codes"]
    assert ledger.call(UUID1).channel == "alerts"
