"""Calls as the page shows them; pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

import msgspec

from answerback.domain.models import Kind
from answerback.emulator.callback_sender import Post
from answerback.emulator.cloud import Call
from answerback.emulator.outcomes import ROWS, Course, Row
from answerback.emulator.timeline import Happens, steps_of, times_of
from answerback.emulator.views import told_of

_BOM = b"\xef\xbb\xbf"
_ENDING_DIGITS = 3
_STRIP_UNITS = 1000


class Going(NamedTuple):
    """How a call goes: the row of the number table, and whether chance chose it."""

    row: Row
    by_chance: bool


class CallRow(NamedTuple):
    """A call in the list. `state` is how far it is or, once it is finished, what its receiver knows."""

    call: Call
    number: str
    at: datetime
    going: Going
    state: str
    taken: int
    refused: int


class StepRow(NamedTuple):
    """A step of a call's timeline, `after_s` of the call's own seconds; `done` once it has come."""

    after_s: float
    happens: str
    key: str
    done: bool


class Attempt(NamedTuple):
    """One attempt to bring a callback. `verdict`: taken, refused, unreadable, no_answer."""

    number: int
    at: datetime
    milliseconds: float
    status: int | None
    answer: str
    verdict: str
    error: str | None


class CallbackRow(NamedTuple):
    """A callback with all its attempts."""

    number: int
    kind: Kind
    key: str
    body: str
    has_bom: bool
    taken: bool
    attempts: Sequence[Attempt]


class Stretch(NamedTuple):
    """A part of the strip that shows a call's seconds; `start` and `width` in thousandths of it."""

    name: str
    start: float
    width: float
    seconds: float


def call_row(call: Call) -> CallRow:
    """The line of `call` in the list."""
    taken = sum(post.accepted for post in call.posts)
    return CallRow(
        call=call,
        number=number_of(call),
        at=_local_time(call.placed_s),
        going=_going(call),
        state=_state(call),
        taken=taken,
        refused=len(call.posts) - taken,
    )


def number_of(call: Call) -> str:
    """The number as it is dialled."""
    return f"+{call.order.nationcode} {call.order.mobile}"


def step_rows(call: Call) -> list[StepRow]:
    """What has come and what is to come, in its order."""
    lived = len(call.happened)
    told = {post.kind for post in call.posts}
    rows = []
    for step in steps_of(call.course):
        if step.happens in (Happens.STATUS, Happens.FAILURE):
            done = (Kind.FAILURE if step.happens is Happens.FAILURE else call.order.kind) in told
        else:
            done, lived = lived > 0, lived - 1
        rows.append(StepRow(step.after_s, step.happens.value, step.key, done))
    if call.course.early:
        rows.insert(0, rows.pop()._replace(after_s=0.0))
    return rows


def callback_rows(call: Call) -> list[CallbackRow]:
    """The callbacks that were sent, in the order of their first attempts."""
    return [
        _callback_row(list(posts)) for _, posts in groupby(sorted(call.posts, key=_place), lambda post: post.number)
    ]


def strip(course: Course) -> list[Stretch]:
    """The call's seconds, side by side: dials, rings, talks."""
    times = times_of(course)
    picked_up_s = times.ended_s if times.answered_s is None else times.answered_s
    moments = {
        "dials": (0.0, times.began_s),
        "rings": (times.began_s, picked_up_s),
        "talks": (picked_up_s, times.ended_s),
    }
    scale = _STRIP_UNITS / times.ended_s
    return [
        Stretch(name, start_s * scale, (end_s - start_s) * scale, end_s - start_s)
        for name, (start_s, end_s) in moments.items()
        if end_s > start_s
    ]


def _local_time(when_s: float) -> datetime:
    """By the clock of this machine, where the developer sits."""
    return datetime.fromtimestamp(when_s, UTC).astimezone()


def _place(post: Post) -> tuple[int, int]:
    return post.number, post.attempt


def _going(call: Call) -> Going:
    by_number = next((row for row in ROWS if row.ending == call.order.mobile[-_ENDING_DIGITS:]), None)
    if by_number is not None:
        return Going(by_number, by_chance=False)
    return Going(next(row for row in ROWS if row.course == call.course), by_chance=True)


def _state(call: Call) -> str:
    if call.finished:
        outcome = told_of(call).outcome
        return "done" if outcome == "answered" else outcome
    latest = max(call.happened, key=lambda one: one.at_s, default=None)
    return "dialled" if latest is None else latest.happens.value


def _callback_row(posts: Sequence[Post]) -> CallbackRow:
    first = posts[0]
    return CallbackRow(
        number=first.number,
        kind=first.kind,
        key=first.key,
        body=_pretty(first.body),
        has_bom=first.body.startswith(_BOM),
        taken=any(post.accepted for post in posts),
        attempts=[_attempt(post) for post in posts],
    )


def _attempt(post: Post) -> Attempt:
    return Attempt(
        number=post.attempt,
        at=_local_time(post.began_s),
        milliseconds=post.answer.seconds * 1000,
        status=post.answer.status,
        answer=post.answer.answer.decode("utf-8", "replace"),
        verdict=_verdict(post),
        error=post.answer.error,
    )


def _verdict(post: Post) -> str:
    if post.accepted:
        return "taken"
    if post.answer.status is None:
        return "no_answer"
    return "unreadable" if post.answer.result is None else "refused"


def _pretty(body: bytes) -> str:
    plain = body.removeprefix(_BOM)
    try:
        return msgspec.json.format(plain, indent=2).decode("utf-8", "replace")
    except msgspec.DecodeError:
        return plain.decode("utf-8", "replace")
