"""The life of one call, second by second; pure."""

import math
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from answerback.domain.models import Kind, Result
from answerback.emulator.outcomes import Course, Sent

_DIALS_S = 1.0
_BETWEEN_KEYS_S = 3.0
_TELLS_AFTER_S = 1.0


class Happens(StrEnum):
    """What a step is, in the words that the page shows."""

    DIALLED = "dialled"
    RINGING = "ringing"
    ANSWERED = "answered"
    KEY = "key"
    ENDED = "ended"
    STATUS = "status"
    FAILURE = "failure"


class Step(NamedTuple):
    """At `after_s` seconds of the cloud's clock after the send; `key` where one is pressed."""

    after_s: float
    happens: Happens
    key: str = ""


class Times(NamedTuple):
    """When the call began, was answered (None: never) and ended, in seconds after the send."""

    began_s: float
    answered_s: float | None
    ended_s: float


def times_of(course: Course) -> Times:
    """The times that the status tells."""
    began_s = _DIALS_S
    picked_up_s = began_s + course.rings_s
    answered = course.result is Result.ANSWERED
    return Times(began_s, picked_up_s if answered else None, picked_up_s + (course.talks_s if answered else 0.0))


class Bill(NamedTuple):
    """The times of a call in whole Unix seconds, as its status tells them (None: nobody answered), and its price."""

    began_s: int
    answered_s: int | None
    ended_s: int
    minutes: int


def bill_of(course: Course, placed_s: float) -> Bill:
    """What the status tells of a call that was placed then: a begun minute is paid whole, no answer is free."""
    times = times_of(course)
    # Each in whole seconds before they are added, so that the differences are those of the course.
    began_s, ended_s = int(placed_s) + int(times.began_s), int(placed_s) + int(times.ended_s)
    if times.answered_s is None:
        return Bill(began_s, None, ended_s, 0)
    answered_s = int(placed_s) + int(times.answered_s)
    return Bill(began_s, answered_s, ended_s, max(1, math.ceil((ended_s - answered_s) / 60)))


def steps_of(course: Course) -> list[Step]:
    """What happens, in its order. Steps at the same time are told at the same time."""
    began_s, answered_s, ended_s = times_of(course)
    steps = [Step(0.0, Happens.DIALLED)]
    if course.rings_s:
        steps.append(Step(began_s, Happens.RINGING))
    if answered_s is not None:
        steps.append(Step(answered_s, Happens.ANSWERED))
        steps += [
            Step(answered_s + number * _BETWEEN_KEYS_S, Happens.KEY, key) for number, key in enumerate(course.keys, 1)
        ]
    return [*steps, Step(ended_s, Happens.ENDED), *_endings(course.sent, ended_s + _TELLS_AFTER_S)]


def _endings(sent: Sent, when_s: float) -> Iterator[Step]:
    if sent in (Sent.STATUS, Sent.STATUS_THEN_FAILURE, Sent.TOGETHER):
        yield Step(when_s, Happens.STATUS)
    if sent in (Sent.FAILURE, Sent.STATUS_THEN_FAILURE, Sent.FAILURE_THEN_STATUS, Sent.TOGETHER):
        yield Step(when_s + (sent is Sent.STATUS_THEN_FAILURE), Happens.FAILURE)
    if sent is Sent.FAILURE_THEN_STATUS:
        yield Step(when_s + 1, Happens.STATUS)


def kind_of(happens: Happens, sent_as: Kind) -> Kind | None:
    """The kind of the callback that tells of a step of a call that was `sent_as` notification or code."""
    return {Happens.KEY: Kind.KEY, Happens.STATUS: sent_as, Happens.FAILURE: Kind.FAILURE}.get(happens)
