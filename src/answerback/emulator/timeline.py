"""The life of one call, second by second; pure."""

import math
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from answerback.domain.models import CallbackKind, Result
from answerback.emulator.outcomes import CallbackOrder, CallScript

_DIAL_S = 1.0
_BETWEEN_KEYS_S = 3.0
_CALLBACK_DELAY_S = 1.0


class CallPhase(StrEnum):
    """What a step is, in the words that the page shows."""

    DIALLED = "dialled"
    RINGING = "ringing"
    ANSWERED = "answered"
    KEY = "key"
    ENDED = "ended"
    STATUS = "status"
    FAILURE = "failure"


class TimelineStep(NamedTuple):
    """At `after_s` seconds of the cloud's clock after the send; `key` where one is pressed."""

    after_s: float
    phase: CallPhase
    key: str = ""


class CallTimes(NamedTuple):
    """When the call began, was answered (None: never) and ended, in seconds after the send."""

    started_s: float
    answered_s: float | None
    ended_s: float


def call_times(script: CallScript) -> CallTimes:
    began_s = _DIAL_S
    picked_up_s = began_s + script.ring_s
    answered = script.result is Result.ANSWERED
    return CallTimes(began_s, picked_up_s if answered else None, picked_up_s + (script.talk_s if answered else 0.0))


class Charge(NamedTuple):
    """The times of a call in whole Unix seconds, as in its status callback (None: unanswered), and its price."""

    started_s: int
    answered_s: int | None
    ended_s: int
    minutes: int


def compute_charge(script: CallScript, placed_s: float) -> Charge:
    """The times and price of a call placed at that time: a started minute is billed in full, an unanswered call is free."""
    times = call_times(script)
    # Each in whole seconds before they are added, so that the differences are those of the script.
    began_s, ended_s = int(placed_s) + int(times.started_s), int(placed_s) + int(times.ended_s)
    if times.answered_s is None:
        return Charge(began_s, None, ended_s, 0)
    answered_s = int(placed_s) + int(times.answered_s)
    return Charge(began_s, answered_s, ended_s, max(1, math.ceil((ended_s - answered_s) / 60)))


def build_timeline(script: CallScript) -> list[TimelineStep]:
    """The steps of a call, in order. Callbacks of steps at the same time are sent at the same time."""
    began_s, answered_s, ended_s = call_times(script)
    steps = [TimelineStep(0.0, CallPhase.DIALLED)]
    if script.ring_s:
        steps.append(TimelineStep(began_s, CallPhase.RINGING))
    if answered_s is not None:
        steps.append(TimelineStep(answered_s, CallPhase.ANSWERED))
        steps += [
            TimelineStep(answered_s + number * _BETWEEN_KEYS_S, CallPhase.KEY, key)
            for number, key in enumerate(script.keys, 1)
        ]
    return [
        *steps,
        TimelineStep(ended_s, CallPhase.ENDED),
        *_callback_steps(script.callback_order, ended_s + _CALLBACK_DELAY_S),
    ]


def _callback_steps(order: CallbackOrder, when_s: float) -> Iterator[TimelineStep]:
    if order in (CallbackOrder.STATUS, CallbackOrder.STATUS_THEN_FAILURE, CallbackOrder.TOGETHER):
        yield TimelineStep(when_s, CallPhase.STATUS)
    if order in (
        CallbackOrder.FAILURE,
        CallbackOrder.STATUS_THEN_FAILURE,
        CallbackOrder.FAILURE_THEN_STATUS,
        CallbackOrder.TOGETHER,
    ):
        yield TimelineStep(when_s + (order is CallbackOrder.STATUS_THEN_FAILURE), CallPhase.FAILURE)
    if order is CallbackOrder.FAILURE_THEN_STATUS:
        yield TimelineStep(when_s + 1, CallPhase.STATUS)


def callback_kind(phase: CallPhase, sent_as: CallbackKind) -> CallbackKind | None:
    """The kind of callback for a step of a call that was `sent_as` a notification or a code."""
    return {CallPhase.KEY: CallbackKind.KEY, CallPhase.STATUS: sent_as, CallPhase.FAILURE: CallbackKind.FAILURE}.get(
        phase
    )
