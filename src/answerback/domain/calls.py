"""The law of a call: how callbacks fold into the one record, whatever their order.

The record is the join of what the callbacks say: a better outcome replaces a worse one and never the other way
round, the best status gives the times and the fee, the most specific failure gives the code. So folding is
idempotent and gives the same record for every order of arrival; key presses alone keep theirs.
"""

from datetime import UTC, datetime
from hashlib import blake2b

import msgspec

from answerback.domain.failure_reasons import FAILURE_REASONS, UNSPECIFIED_REASON
from answerback.domain.models import (
    MAX_KEYS,
    AnyCallback,
    Call,
    CallbackKind,
    Failure,
    KeyPress,
    Outcome,
    ParsedCallback,
    Result,
    Status,
)

_PENDING, _ANSWERED, _UNANSWERED, _FAILED = Outcome.PENDING, Outcome.ANSWERED, Outcome.UNANSWERED, Outcome.FAILED

OUTCOME_TRANSITIONS: dict[Outcome, dict[Result | CallbackKind, Outcome]] = {
    # known:   a status that says…                                         a failure        a key press
    _PENDING: {
        Result.ANSWERED: _ANSWERED,
        Result.UNANSWERED: _UNANSWERED,
        Result.ERROR: _FAILED,
        CallbackKind.FAILURE: _FAILED,
        CallbackKind.KEY: _PENDING,
    },
    _FAILED: {
        Result.ANSWERED: _ANSWERED,
        Result.UNANSWERED: _UNANSWERED,
        Result.ERROR: _FAILED,
        CallbackKind.FAILURE: _FAILED,
        CallbackKind.KEY: _FAILED,
    },
    _UNANSWERED: {
        Result.ANSWERED: _ANSWERED,
        Result.UNANSWERED: _UNANSWERED,
        Result.ERROR: _UNANSWERED,
        CallbackKind.FAILURE: _UNANSWERED,
        CallbackKind.KEY: _UNANSWERED,
    },
    _ANSWERED: {
        Result.ANSWERED: _ANSWERED,
        Result.UNANSWERED: _ANSWERED,
        Result.ERROR: _ANSWERED,
        CallbackKind.FAILURE: _ANSWERED,
        CallbackKind.KEY: _ANSWERED,
    },
}

_MIN_TIME = datetime.min.replace(tzinfo=UTC)
_encode = msgspec.msgpack.Encoder().encode


def callback_fingerprint(channel: str, callback: AnyCallback) -> bytes:
    """The 16 bytes that identify duplicates: a hash of channel, kind and normalised fields."""
    return blake2b(_encode((channel, callback.kind, callback)), digest_size=16).digest()


def call_fingerprint(channel: str, callid: str) -> bytes:
    """The 16 bytes of a call itself, for events without a callback."""
    return blake2b(_encode((channel, callid)), digest_size=16).digest()


def public_id(key: bytes, fingerprint: bytes) -> bytes:
    """The 16 bytes by which a callback, or a call, is known outside; `key` keeps who has them from trying numbers.

    The fingerprint itself never leaves: of a hash with a number in it whose four digits are hidden there are ten thousand.
    """
    return blake2b(fingerprint, key=key, digest_size=16).digest()


def fold(call: Call | None, received: ParsedCallback) -> Call:
    """Add one callback to what is known of its call; the very `call` where it is no news."""
    if call is None:
        call = _new_call(received)
    elif received.fingerprint in call.fingerprints:
        return call
    callback = received.callback
    if call.kind is None:  # annotated only, without numbers
        call = msgspec.structs.replace(call, kind=callback.kind, **_numbers(callback))
    if isinstance(callback, Status):
        changes = _with_status(call, callback)
    elif isinstance(callback, Failure):
        changes = _with_failure(call, callback)
    else:
        changes = _with_key(call, callback)
    changes["fingerprints"] = call.fingerprints | {received.fingerprint}
    if received.received_at > call.updated_at:
        changes["updated_at"] = received.received_at
    elif received.received_at < call.first_seen_at:
        changes["first_seen_at"] = received.received_at
    return msgspec.structs.replace(call, **changes)


def _new_call(received: ParsedCallback) -> Call:
    callback = received.callback
    return Call(
        channel=received.channel,
        callid=callback.callid,
        kind=callback.kind,
        first_seen_at=received.received_at,
        updated_at=received.received_at,
        nationcode=callback.nationcode,
        mobile=callback.mobile,
        call_from=callback.call_from,
    )


def _with_status(call: Call, status: Status) -> dict[str, object]:
    changes: dict[str, object] = {"outcome": OUTCOME_TRANSITIONS[call.outcome][status.result]}
    if call.result is not None:
        changes["revisions"] = call.revisions + 1
        if _status_rank(status, status.kind) <= _status_rank(call, call.kind):
            return changes
    for name in ("kind", "nationcode", "mobile", "call_from", "result", "started_at", "answered_at", "ended_at"):
        changes[name] = getattr(status, name)
    changes["fee_minutes"] = status.fee_minutes
    return changes


def _status_rank(status: Status | Call, kind: CallbackKind | None) -> tuple[object, ...]:
    """A total order of statuses: answered over unanswered over error, then the later, then any fixed order."""
    return (
        -(status.result or 0),
        status.ended_at or _MIN_TIME,
        status.answered_at or _MIN_TIME,
        status.started_at or _MIN_TIME,
        -1 if status.fee_minutes is None else status.fee_minutes,
        kind or "",
        *_callee_key(status),
    )


def _with_failure(call: Call, failure: Failure) -> dict[str, object]:
    changes: dict[str, object] = {"outcome": OUTCOME_TRANSITIONS[call.outcome][CallbackKind.FAILURE]}
    if call.failure_code is not None:
        changes["revisions"] = call.revisions + 1
        known = (*_failure_rank(call.failure_code, call.failure_reason), *_callee_key(call))
        if (*_failure_rank(failure.code, failure.reason), *_callee_key(failure)) <= known:
            return changes
    changes |= {"failure_code": failure.code, "failure_reason": failure.reason}
    if call.result is None:
        changes |= {"kind": CallbackKind.FAILURE, **_numbers(failure)}
    return changes


def _failure_rank(code: int, reason: str | None) -> tuple[object, ...]:
    """A total order of failures: a listed reason over an unlisted one over "other"."""
    return (
        code in FAILURE_REASONS and code != UNSPECIFIED_REASON,
        code != UNSPECIFIED_REASON,
        code,
        *_optional_key(reason),
    )


def _with_key(call: Call, press: KeyPress) -> dict[str, object]:
    changes: dict[str, object] = {
        "outcome": OUTCOME_TRANSITIONS[call.outcome][CallbackKind.KEY],
        "keys_total": call.keys_total + 1,
    }
    if press.key not in call.keys and len(call.keys) < MAX_KEYS:
        changes["keys"] = (*call.keys, press.key)
    if call.kind is CallbackKind.KEY and _callee_key(press) > _callee_key(call):
        changes |= _numbers(press)
    return changes


def _callee_key(source: Call | AnyCallback) -> tuple[object, ...]:
    return (*_optional_key(source.nationcode), *_optional_key(source.mobile), *_optional_key(source.call_from))


def _optional_key(text: str | None) -> tuple[bool, str]:
    """For a total order: a text over none."""
    return (text is not None, text or "")


def _numbers(source: AnyCallback) -> dict[str, str | None]:
    return {"nationcode": source.nationcode, "mobile": source.mobile, "call_from": source.call_from}
