"""Calls as the page shows them; pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

import msgspec

from answerback.domain.models import CallbackKind
from answerback.emulator.callback_sender import CallbackAttempt
from answerback.emulator.cloud import EmulatedCall
from answerback.emulator.outcomes import SCRIPT_ROWS, CallScript, ScriptRow
from answerback.emulator.timeline import CallPhase, build_timeline, call_times
from answerback.emulator.views import view_of

_BOM = b"\xef\xbb\xbf"
_ENDING_DIGITS = 3
_STRIP_UNITS = 1000


class ScriptChoice(NamedTuple):
    """How a call goes: the row of the number table, and whether chance chose it."""

    row: ScriptRow
    by_chance: bool


class CallRow(NamedTuple):
    """A call in the list. `state` is how far it is or, once it is finished, what its receiver knows."""

    call: EmulatedCall
    number: str
    at: datetime
    choice: ScriptChoice
    state: str
    accepted: int
    rejected: int


class StepRow(NamedTuple):
    """A step of a call's timeline, `after_s` of the call's own seconds; `done` once it has come."""

    after_s: float
    phase: str
    key: str
    done: bool


class AttemptRow(NamedTuple):
    """One attempt to bring a callback. `verdict`: taken, refused, unreadable, no_answer."""

    number: int
    at: datetime
    milliseconds: float
    status: int | None
    body: str
    verdict: str
    error: str | None


class CallbackRow(NamedTuple):
    number: int
    kind: CallbackKind
    key: str
    body: str
    has_bom: bool
    accepted: bool
    attempts: Sequence[AttemptRow]


class Segment(NamedTuple):
    """A part of the strip that shows a call's seconds; `start` and `width` in thousandths of it."""

    name: str
    start: float
    width: float
    seconds: float


def build_call_row(call: EmulatedCall) -> CallRow:
    """The line of `call` in the list."""
    taken = sum(attempt.accepted for attempt in call.attempts)
    return CallRow(
        call=call,
        number=dialled_number(call),
        at=_local_time(call.placed_s),
        choice=_script_choice(call),
        state=_state(call),
        accepted=taken,
        rejected=len(call.attempts) - taken,
    )


def dialled_number(call: EmulatedCall) -> str:
    return f"+{call.request.nationcode} {call.request.mobile}"


def build_step_rows(call: EmulatedCall) -> list[StepRow]:
    """What has come and what is to come, in its order."""
    lived = len(call.history)
    sent_kinds = {attempt.kind for attempt in call.attempts}
    rows = []
    for step in build_timeline(call.script):
        if step.phase in (CallPhase.STATUS, CallPhase.FAILURE):
            done = (CallbackKind.FAILURE if step.phase is CallPhase.FAILURE else call.request.kind) in sent_kinds
        else:
            done, lived = lived > 0, lived - 1
        rows.append(StepRow(step.after_s, step.phase.value, step.key, done))
    if call.script.early:
        rows.insert(0, rows.pop()._replace(after_s=0.0))
    return rows


def build_callback_rows(call: EmulatedCall) -> list[CallbackRow]:
    """The callbacks that were sent, in the order of their first attempts."""
    return [
        _callback_row(list(attempts))
        for _, attempts in groupby(sorted(call.attempts, key=_attempt_order), lambda attempt: attempt.number)
    ]


def call_segments(script: CallScript) -> list[Segment]:
    """The call's seconds, side by side: dials, rings, talks."""
    times = call_times(script)
    picked_up_s = times.ended_s if times.answered_s is None else times.answered_s
    moments = {
        "dials": (0.0, times.started_s),
        "rings": (times.started_s, picked_up_s),
        "talks": (picked_up_s, times.ended_s),
    }
    scale = _STRIP_UNITS / times.ended_s
    return [
        Segment(name, start_s * scale, (end_s - start_s) * scale, end_s - start_s)
        for name, (start_s, end_s) in moments.items()
        if end_s > start_s
    ]


def _local_time(when_s: float) -> datetime:
    """By the clock of this machine, where the developer sits."""
    return datetime.fromtimestamp(when_s, UTC).astimezone()


def _attempt_order(attempt: CallbackAttempt) -> tuple[int, int]:
    return attempt.number, attempt.attempt


def _script_choice(call: EmulatedCall) -> ScriptChoice:
    by_number = next((row for row in SCRIPT_ROWS if row.ending == call.request.mobile[-_ENDING_DIGITS:]), None)
    if by_number is not None:
        return ScriptChoice(by_number, by_chance=False)
    return ScriptChoice(next(row for row in SCRIPT_ROWS if row.script == call.script), by_chance=True)


def _state(call: EmulatedCall) -> str:
    if call.finished:
        outcome = view_of(call).outcome
        return "done" if outcome == "answered" else outcome
    latest = max(call.history, key=lambda one: one.at_s, default=None)
    return "dialled" if latest is None else latest.phase.value


def _callback_row(attempts: Sequence[CallbackAttempt]) -> CallbackRow:
    first = attempts[0]
    return CallbackRow(
        number=first.number,
        kind=first.kind,
        key=first.key,
        body=_format_body(first.body),
        has_bom=first.body.startswith(_BOM),
        accepted=any(attempt.accepted for attempt in attempts),
        attempts=[_attempt_row(attempt) for attempt in attempts],
    )


def _attempt_row(attempt: CallbackAttempt) -> AttemptRow:
    return AttemptRow(
        number=attempt.attempt,
        at=_local_time(attempt.started_s),
        milliseconds=attempt.response.seconds * 1000,
        status=attempt.response.status,
        body=attempt.response.body.decode("utf-8", "replace"),
        verdict=_verdict(attempt),
        error=attempt.response.error,
    )


def _verdict(attempt: CallbackAttempt) -> str:
    if attempt.accepted:
        return "accepted"
    if attempt.response.status is None:
        return "no_answer"
    return "unreadable" if attempt.response.result is None else "rejected"


def _format_body(body: bytes) -> str:
    plain = body.removeprefix(_BOM)
    try:
        return msgspec.json.format(plain, indent=2).decode("utf-8", "replace")
    except msgspec.DecodeError:
        return plain.decode("utf-8", "replace")
