"""What a handler is called with."""

from collections.abc import Sequence
from datetime import datetime
from functools import reduce

import msgspec

from answerback.domain.calls import fold
from answerback.domain.delivery_states import event_type_for
from answerback.domain.endpoints import EventType
from answerback.domain.models import AnyCallback, Call, KeyPress, Outcome, ParsedCallback, RawCallback
from answerback.tencent.parsing import parse_callback


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A callback, and what is known of its call with it and with those that came before.

    `type` is what the gateway's webhooks call it. `outcome_changed`: the call had another outcome before, or none. `is_duplicate`: the same
    callback was an event before. `fingerprint`, 32 hex digits, is the same each time that this event is handed over, and for its duplicates.
    """

    type: EventType
    call: Call
    callback: AnyCallback
    fingerprint: str
    received_at: datetime
    outcome_changed: bool
    is_duplicate: bool

    @property
    def names(self) -> frozenset[str]:
        """By what `Receiver.on` knows it: its type and, where it is no key press, the outcome of the call."""
        return frozenset({self.type, self.type if isinstance(self.callback, KeyPress) else self.call.outcome})


def make_event(callbacks: Sequence[RawCallback | ParsedCallback]) -> Event:
    """The event of the last of a call's callbacks."""
    *earlier, received = [parse_callback(one) if isinstance(one, RawCallback) else one for one in callbacks]
    before = reduce(fold, earlier, None)
    call = fold(before, received)
    return Event(
        type=event_type_for(before, call, received.callback),
        call=call,
        callback=received.callback,
        fingerprint=received.fingerprint.hex(),
        received_at=received.received_at,
        outcome_changed=call.outcome != (before.outcome if before else Outcome.PENDING),
        is_duplicate=before is not None and received.fingerprint in before.fingerprints,
    )
