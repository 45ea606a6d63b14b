"""The law of a call: how callbacks fold into the one record, whatever their order.

The record is the join of what the callbacks say: a better outcome replaces a worse one and never the other way
round, the best status gives the times and the fee, the most telling failure gives the code. So folding is
idempotent and gives the same record for every order of arrival; key presses alone keep theirs.
"""

from datetime import UTC, datetime
from hashlib import blake2b

import msgspec

from answerback.domain.models import MOST_KEYS, Call, Failure, KeyPress, Kind, Outcome, Received, Result, Status
from answerback.tencent.codes import FAILURE_REASONS, OTHER_REASON

P, A, U, F = Outcome.PENDING, Outcome.ANSWERED, Outcome.UNANSWERED, Outcome.FAILED

LAW: dict[Outcome, dict[Result | Kind, Outcome]] = {
    # known:   a status that says…                                         a failure        a key press
    P: {Result.ANSWERED: A, Result.UNANSWERED: U, Result.ERROR: F, Kind.FAILURE: F, Kind.KEY: P},
    F: {Result.ANSWERED: A, Result.UNANSWERED: U, Result.ERROR: F, Kind.FAILURE: F, Kind.KEY: F},
    U: {Result.ANSWERED: A, Result.UNANSWERED: U, Result.ERROR: U, Kind.FAILURE: U, Kind.KEY: U},
    A: {Result.ANSWERED: A, Result.UNANSWERED: A, Result.ERROR: A, Kind.FAILURE: A, Kind.KEY: A},
}

_NEVER = datetime.min.replace(tzinfo=UTC)
_encode = msgspec.msgpack.Encoder().encode


def identify(channel: str, callback: Status | KeyPress | Failure) -> bytes:
    """The 16 bytes that tell a repeat from news: channel, kind and the normalised fields."""
    return blake2b(_encode((channel, callback.kind, callback)), digest_size=16).digest()


def identify_call(channel: str, callid: str) -> bytes:
    """The 16 bytes of a call itself, for what is told of no callback."""
    return blake2b(_encode((channel, callid)), digest_size=16).digest()


def public_id(key: bytes, identity: bytes) -> bytes:
    """The 16 bytes by which a callback, or a call, is known outside; `key` keeps who has them from trying numbers.

    The identity itself never leaves: of a hash with a number in it whose four digits are hidden there are ten thousand.
    """
    return blake2b(identity, key=key, digest_size=16).digest()


def fold(call: Call | None, received: Received) -> Call:
    """Add one callback to what is known of its call; the very `call` where it is no news."""
    if call is None:
        call = _opened_by(received)
    elif received.identity in call.seen:
        return call
    callback = received.callback
    if call.kind is None:  # registered by the business, which told no numbers
        call = msgspec.structs.replace(call, kind=callback.kind, **_numbers(callback))
    if isinstance(callback, Status):
        changes = _with_status(call, callback)
    elif isinstance(callback, Failure):
        changes = _with_failure(call, callback)
    else:
        changes = _with_key(call, callback)
    changes["seen"] = call.seen | {received.identity}
    if received.received_at > call.updated_at:
        changes["updated_at"] = received.received_at
    elif received.received_at < call.first_seen_at:
        changes["first_seen_at"] = received.received_at
    return msgspec.structs.replace(call, **changes)


def _opened_by(received: Received) -> Call:
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
    changes: dict[str, object] = {"outcome": LAW[call.outcome][status.result]}
    if call.result is not None:
        changes["revisions"] = call.revisions + 1
        if _standing(status, status.kind) <= _standing(call, call.kind):
            return changes
    for name in ("kind", "nationcode", "mobile", "call_from", "result", "started_at", "answered_at", "ended_at"):
        changes[name] = getattr(status, name)
    changes["fee_minutes"] = status.fee_minutes
    return changes


def _standing(status: Status | Call, kind: Kind | None) -> tuple[object, ...]:
    """A total order of statuses: answered over unanswered over error, then the later, then any fixed order."""
    return (
        -(status.result or 0),
        status.ended_at or _NEVER,
        status.answered_at or _NEVER,
        status.started_at or _NEVER,
        -1 if status.fee_minutes is None else status.fee_minutes,
        kind or "",
        *_callee(status),
    )


def _with_failure(call: Call, failure: Failure) -> dict[str, object]:
    changes: dict[str, object] = {"outcome": LAW[call.outcome][Kind.FAILURE]}
    if call.failure_code is not None:
        changes["revisions"] = call.revisions + 1
        known = (*_telling(call.failure_code, call.failure_reason), *_callee(call))
        if (*_telling(failure.code, failure.reason), *_callee(failure)) <= known:
            return changes
    changes |= {"failure_code": failure.code, "failure_reason": failure.reason}
    if call.result is None:
        changes |= {"kind": Kind.FAILURE, **_numbers(failure)}
    return changes


def _telling(code: int, reason: str | None) -> tuple[object, ...]:
    """A total order of failures: a listed reason over an unlisted one over "other"."""
    return (code in FAILURE_REASONS and code != OTHER_REASON, code != OTHER_REASON, code, *_ranked(reason))


def _with_key(call: Call, press: KeyPress) -> dict[str, object]:
    changes: dict[str, object] = {"outcome": LAW[call.outcome][Kind.KEY], "keys_total": call.keys_total + 1}
    if press.key not in call.keys and len(call.keys) < MOST_KEYS:
        changes["keys"] = (*call.keys, press.key)
    if call.kind is Kind.KEY and _callee(press) > _callee(call):
        changes |= _numbers(press)
    return changes


def _callee(source: Call | Status | Failure | KeyPress) -> tuple[object, ...]:
    return (*_ranked(source.nationcode), *_ranked(source.mobile), *_ranked(source.call_from))


def _ranked(text: str | None) -> tuple[bool, str]:
    """For a total order: a text over none."""
    return (text is not None, text or "")


def _numbers(source: Status | Failure | KeyPress) -> dict[str, str | None]:
    return {"nationcode": source.nationcode, "mobile": source.mobile, "call_from": source.call_from}
