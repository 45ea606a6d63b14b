"""A call as the emulator tells of it: what happened, in truth, and what was sent about it."""

from datetime import UTC, datetime

import msgspec

from answerback.domain.models import Kind, Result
from answerback.emulator.callback_sender import Post
from answerback.emulator.cloud import Call
from answerback.emulator.timeline import bill_of


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a call; `key` where one was pressed."""

    at: datetime
    what: str
    key: str | None


class PostView(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to tell of it. `number` is the same for all attempts at one callback."""

    number: int
    attempt: int
    kind: str
    body: str
    at: datetime
    seconds: float
    status: int | None
    answer: str
    error: str | None


class CallView(msgspec.Struct, frozen=True, kw_only=True):
    """A call. From `outcome` to `keys`: what the receiver should know, by the callbacks that it took.

    `keys` in the order that they were taken in; times and fee as the status tells them, None without one.
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
    callbacks: list[PostView]


def told_of(call: Call) -> CallView:
    """The view of `call`, as far as it has gone."""
    taken = [post for post in call.posts if post.accepted]
    kinds = {post.kind for post in taken}
    failed, told = Kind.FAILURE in kinds, call.order.kind in kinds
    result = call.course.result if told else None
    bill = bill_of(call.course, call.placed_s) if told else None
    return CallView(
        callid=call.callid,
        app_id=call.order.app_id,
        kind=call.order.kind.value,
        nationcode=call.order.nationcode,
        mobile=call.order.mobile,
        text=call.order.text,
        finished=call.finished,
        outcome=_outcome(result, failed=failed),
        result=None if result is None else result.value,
        started_at=_moment(bill and bill.began_s),
        answered_at=_moment(bill and bill.answered_s),
        ended_at=_moment(bill and bill.ended_s),
        fee_minutes=bill and bill.minutes,
        failure_code=call.course.failure_code if failed else None,
        keys=list(dict.fromkeys(post.key for post in taken if post.kind is Kind.KEY)),
        steps=[
            StepView(at=_utc(one.at_s), what=one.happens.value, key=one.key or None)
            for one in sorted(call.happened, key=lambda one: one.at_s)
        ],
        callbacks=[_post_view(post) for post in call.posts],
    )


def _outcome(result: Result | None, *, failed: bool) -> str:
    if result is Result.ANSWERED:
        return "answered"
    if result is Result.UNANSWERED:
        return "unanswered"
    return "failed" if failed or result is Result.ERROR else "pending"


def _post_view(post: Post) -> PostView:
    return PostView(
        number=post.number,
        attempt=post.attempt,
        kind=post.kind.value,
        body=post.body.decode("utf-8", "replace"),
        at=_utc(post.began_s),
        seconds=post.answer.seconds,
        status=post.answer.status,
        answer=post.answer.answer.decode("utf-8", "replace"),
        error=post.answer.error,
    )


def _utc(when_s: float) -> datetime:
    return datetime.fromtimestamp(when_s, UTC)


def _moment(when_s: int | None) -> datetime | None:
    return None if when_s is None else _utc(when_s)
