"""Calls as JSON: what happened, and which callbacks were sent."""

from datetime import UTC, datetime

import msgspec

from answerback.domain.models import CallbackKind, Result
from answerback.emulator.callback_sender import CallbackAttempt
from answerback.emulator.cloud import EmulatedCall
from answerback.emulator.timeline import compute_charge


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a call; `key` where one was pressed."""

    at: datetime
    what: str
    key: str | None


class CallbackAttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to send a callback. `number` is the same for all attempts of one callback."""

    number: int
    attempt: int
    kind: str
    body: str
    at: datetime
    seconds: float
    status: int | None
    answer: str
    error: str | None


class EmulatedCallView(msgspec.Struct, frozen=True, kw_only=True):
    """A call. From `outcome` to `keys`: what the receiver should know, by the callbacks that it took.

    `keys` in the order they were pressed; times and fee as in the status callback, None without one.
    """

    callid: str
    app_id: str
    kind: str
    nationcode: str
    mobile: str
    text: str
    finished: bool
    outcome: str
    result: int | None
    started_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    fee_minutes: int | None
    failure_code: int | None
    keys: list[str]
    steps: list[StepView]
    callbacks: list[CallbackAttemptView]


def view_of(call: EmulatedCall) -> EmulatedCallView:
    """The view of `call`, as far as it has gone."""
    taken = [attempt for attempt in call.attempts if attempt.accepted]
    kinds = {attempt.kind for attempt in taken}
    failed, has_status = CallbackKind.FAILURE in kinds, call.request.kind in kinds
    result = call.script.result if has_status else None
    bill = compute_charge(call.script, call.placed_s) if has_status else None
    return EmulatedCallView(
        callid=call.callid,
        app_id=call.request.app_id,
        kind=call.request.kind.value,
        nationcode=call.request.nationcode,
        mobile=call.request.mobile,
        text=call.request.text,
        finished=call.finished,
        outcome=_outcome(result, failed=failed),
        result=None if result is None else result.value,
        started_at=_moment(bill and bill.started_s),
        answered_at=_moment(bill and bill.answered_s),
        ended_at=_moment(bill and bill.ended_s),
        fee_minutes=bill and bill.minutes,
        failure_code=call.script.failure_code if failed else None,
        keys=list(dict.fromkeys(attempt.key for attempt in taken if attempt.kind is CallbackKind.KEY)),
        steps=[
            StepView(at=_utc(one.at_s), what=one.phase.value, key=one.key or None)
            for one in sorted(call.history, key=lambda one: one.at_s)
        ],
        callbacks=[_attempt_view(attempt) for attempt in call.attempts],
    )


def _outcome(result: Result | None, *, failed: bool) -> str:
    if result is Result.ANSWERED:
        return "answered"
    if result is Result.UNANSWERED:
        return "unanswered"
    return "failed" if failed or result is Result.ERROR else "pending"


def _attempt_view(attempt: CallbackAttempt) -> CallbackAttemptView:
    return CallbackAttemptView(
        number=attempt.number,
        attempt=attempt.attempt,
        kind=attempt.kind.value,
        body=attempt.body.decode("utf-8", "replace"),
        at=_utc(attempt.started_s),
        seconds=attempt.response.seconds,
        status=attempt.response.status,
        answer=attempt.response.body.decode("utf-8", "replace"),
        error=attempt.response.error,
    )


def _utc(when_s: float) -> datetime:
    return datetime.fromtimestamp(when_s, UTC)


def _moment(when_s: int | None) -> datetime | None:
    return None if when_s is None else _utc(when_s)
