import itertools

import pytest
from builders import UUID1, AnyCallback, callbacks, failure, folded, key_press, received, status, unanswered
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.calls import fold
from answerback.domain.delivery_states import (
    ACTIVE_STATES,
    DELIVERY_TRANSITIONS,
    DeliveryTransition,
    event_type_for,
    message_id,
)
from answerback.domain.endpoints import DeliveryState, EventType
from answerback.domain.models import Call, CallbackKind, KeyPress, Outcome, Result

ERROR = unanswered(result=Result.ERROR)
AT_ITS_END = (DeliveryState.DELIVERED, DeliveryState.DEAD)


def reported(history: list[AnyCallback]) -> EventType:
    """What the last of `history` is to the business."""
    *earlier, last = [received(callback, after_s=n) for n, callback in enumerate(history)]
    before = folded(earlier) if earlier else None
    return event_type_for(before, fold(before, last), last.callback)


def test_the_law_knows_every_state() -> None:
    """There is a row for each state, each with something that can happen; every happening happens somewhere."""
    assert set(DELIVERY_TRANSITIONS) == set(DeliveryState)
    assert all(DELIVERY_TRANSITIONS.values())
    assert {cause for row in DELIVERY_TRANSITIONS.values() for cause in row} == set(DeliveryTransition)


def test_a_delivery_that_is_not_at_its_end_can_come_to_it() -> None:
    """Blocked leads to pending, pending to delivered and to dead; those two are the ends."""
    assert DELIVERY_TRANSITIONS[DeliveryState.BLOCKED][DeliveryTransition.UNBLOCKED] is DeliveryState.PENDING
    assert DELIVERY_TRANSITIONS[DeliveryState.PENDING][DeliveryTransition.SUCCEEDED] is DeliveryState.DELIVERED
    assert DELIVERY_TRANSITIONS[DeliveryState.PENDING][DeliveryTransition.EXHAUSTED] is DeliveryState.DEAD
    assert set(ACTIVE_STATES) == set(DeliveryState) - set(AT_ITS_END)


@pytest.mark.parametrize("state", DeliveryState)
def test_only_a_pending_delivery_is_attempted(state: DeliveryState) -> None:
    """Attempts fail and exhaust where something goes out; accepted is also one that was given up meanwhile."""
    attempted = {DeliveryTransition.SUCCEEDED, DeliveryTransition.ATTEMPT_FAILED, DeliveryTransition.EXHAUSTED} & set(
        DELIVERY_TRANSITIONS[state]
    )
    if state is DeliveryState.PENDING:
        assert len(attempted) == 3
    else:
        assert attempted == ({DeliveryTransition.SUCCEEDED} if state is DeliveryState.DEAD else set())


@pytest.mark.parametrize("state", DeliveryState)
def test_whatever_its_state_a_delivery_can_be_replayed(state: DeliveryState) -> None:
    """A replay makes every delivery active, and behind another one it never goes out at once by that."""
    assert DELIVERY_TRANSITIONS[state][DeliveryTransition.REPLAYED] in ACTIVE_STATES
    assert DELIVERY_TRANSITIONS[state][DeliveryTransition.REPLAYED_BLOCKED] is (
        DeliveryState.PENDING if state is DeliveryState.PENDING else DeliveryState.BLOCKED
    )


@pytest.mark.parametrize(("state", "cause"), list(itertools.product(AT_ITS_END, DeliveryTransition)))
def test_a_finished_delivery_stays_unless_replayed(state: DeliveryState, cause: DeliveryTransition) -> None:
    """Only a replay takes a delivery back; a dead one may still turn out to be delivered."""
    after = DELIVERY_TRANSITIONS[state].get(cause, state)
    if cause in {DeliveryTransition.REPLAYED, DeliveryTransition.REPLAYED_BLOCKED}:
        assert after in ACTIVE_STATES
    else:
        assert after is state or (state, after) == (DeliveryState.DEAD, DeliveryState.DELIVERED)


@pytest.mark.parametrize("state", ACTIVE_STATES)
def test_nothing_is_pending_for_an_endpoint_that_is_gone(state: DeliveryState) -> None:
    """The deliveries of a removed endpoint are cancelled."""
    assert DELIVERY_TRANSITIONS[state][DeliveryTransition.CANCELLED] is DeliveryState.DEAD


@pytest.mark.parametrize(
    ("history", "event"),
    [
        ([status()], EventType.ANSWERED),
        ([status(kind=CallbackKind.CODE)], EventType.ANSWERED),
        ([unanswered()], EventType.UNANSWERED),
        ([ERROR], EventType.FAILED),
        ([failure()], EventType.FAILED),
        ([key_press()], EventType.KEY_PRESSED),
        ([status(), key_press()], EventType.KEY_PRESSED),
        ([key_press(), status()], EventType.ANSWERED),
        ([key_press(), key_press(key="2")], EventType.KEY_PRESSED),
        ([unanswered(), status()], EventType.REVISED),
        ([status(), unanswered()], EventType.REVISED),
        ([status(), status(fee_minutes=2)], EventType.REVISED),
        ([failure(), failure(code=5)], EventType.REVISED),
        ([failure(), unanswered()], EventType.UNANSWERED),
        ([status(), failure()], EventType.ANSWERED),
        ([unanswered(), status(), key_press()], EventType.KEY_PRESSED),
        ([unanswered(), status(), failure()], EventType.ANSWERED),
        ([unanswered(), status(), failure(), failure(code=5)], EventType.REVISED),
    ],
)
def test_a_delivery_says_what_the_callback_made_of_the_call(history: list[AnyCallback], event: EventType) -> None:
    """The outcome as it stands now; a key press is a key press, and what contradicts its own sort is a revision."""
    assert reported(history) is event


@given(st.lists(callbacks(st.just(UUID1)), min_size=1, max_size=6, unique_by=lambda said: received(said).fingerprint))
def test_every_callback_is_some_event(history: list[AnyCallback]) -> None:
    """Whatever comes in whatever order has an event, the one that fits the record; never one of the call itself."""
    items = [received(callback) for callback in history]
    after = folded(items)
    event = reported(history)
    if isinstance(history[-1], KeyPress):
        assert event is EventType.KEY_PRESSED
    else:
        assert event in {EventType.REVISED, EventType(after.outcome.value)}


@pytest.mark.parametrize("callback", [status(), unanswered(), ERROR, failure(), key_press()])
def test_the_first_callback_of_a_registered_call_is_no_revision(callback: AnyCallback) -> None:
    """A call that was only annotated has nothing that could be revised."""
    item = received(callback)
    registered = Call(
        channel=item.channel,
        callid=callback.callid,
        kind=None,
        first_seen_at=item.received_at,
        updated_at=item.received_at,
        reference="order-17",
    )
    assert event_type_for(registered, fold(registered, item), callback) is reported([callback])


def test_a_registered_call_is_pending() -> None:
    """Before anything is heard the outcome is pending: an overdue word is about such a call."""
    call = Call(
        channel="default",
        callid="x",
        kind=None,
        first_seen_at=received(status()).received_at,
        updated_at=received(status()).received_at,
    )
    assert call.outcome is Outcome.PENDING


def test_a_message_id_holds_number_and_tag() -> None:
    """The id has both, so that a ledger restored from a backup does not give an id to something else."""
    assert message_id(17, "9f86d081884c") == "dlv_17_9f86d081884c"
    assert len({message_id(id_, tag) for id_ in (1, 11) for tag in ("1a", "a")}) == 4
