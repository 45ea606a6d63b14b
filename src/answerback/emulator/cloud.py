"""The cloud: takes orders, lets calls live, and tells their receivers what became of them."""

import asyncio
import random
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from answerback.domain.models import Kind
from answerback.emulator.callback_sender import Post, Postman, Reply
from answerback.emulator.clock import Clock
from answerback.emulator.faults import Parcel, Weather, parcels
from answerback.emulator.limits import Frequency, Limits
from answerback.emulator.outcomes import SHARES, Course, course_of
from answerback.emulator.payloads import CALLBACK_KEYS
from answerback.emulator.send_requests import Account, Application, Order
from answerback.emulator.timeline import Happens, Step, bill_of, kind_of, steps_of
from answerback.emulator.vendor_errors import Fault, Refused
from answerback.tencent.codes import FAILURE_REASONS

MOST_CALLS = 10_000
"""Calls that are remembered; the oldest finished ones are forgotten."""

_RETRY_PAUSES_S = (5.0, 10.0)


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a call, when it came."""

    at_s: float
    happens: Happens
    key: str = ""


class Call(msgspec.Struct, kw_only=True):
    """A call, as far as it has gone. `posts` are all callbacks that were sent about it, in order."""

    callid: str
    order: Order
    course: Course
    placed_s: float
    happened: list[Happened] = []
    posts: list[Post] = []
    finished: bool = False

    def untold(self) -> bool:
        """Whether a callback about it was taken by nobody."""
        taken = {post.number for post in self.posts if post.accepted}
        return any(post.number not in taken for post in self.posts)


class Carrier(Protocol):
    """What brings callbacks to their receivers."""

    async def carry(self, url: str, parcel: Parcel) -> Reply:
        """Bring it once. A failure is a value."""

    async def close(self) -> None:
        """Let go of connections."""


class Cloud:
    """An account's calls. Lives in one event loop; `close` it when done."""

    def __init__(
        self,
        account: Account,
        clock: Clock,
        *,
        weather: Weather | None = None,
        limits: Limits | None = None,
        shares: Mapping[str, float] = SHARES,
        seed: int | None = None,
        postman: Carrier | None = None,
    ) -> None:
        self.account = account
        self.clock = clock
        self.calls: OrderedDict[str, Call] = OrderedDict()
        self.on_change: Callable[[Call], None] = lambda _call: None
        self._weather = weather or Weather()
        self._frequency = Frequency(limits or Limits())
        self._shares = shares
        self._chance = random.Random(seed)  # noqa: S311  # chance, no secret
        self._postman = postman or Postman()
        self._living: set[asyncio.Task[None]] = set()
        self._last_number = 0

    async def place(self, order: Order) -> Call:
        """Begin a call; it lives on by itself. Raises Refused."""
        application = self.account.applications[order.app_id]
        self._admit(application, order)
        call = Call(
            callid=str(uuid.uuid1()),
            order=order,
            course=course_of(order.mobile, self._shares, self._chance),
            placed_s=self.clock.now_s(),
            happened=[],
            posts=[],
        )
        self._remember(call)
        begun = asyncio.Event()
        task = asyncio.get_running_loop().create_task(self._live(call, begun))
        self._living.add(task)
        task.add_done_callback(self._living.discard)
        await begun.wait()
        return call

    async def finish(self) -> None:
        """Wait until every call has come to its end, and every callback to its."""
        while self._living:
            await asyncio.wait(self._living)

    @property
    def living(self) -> int:
        """How many calls have not come to their end."""
        return len(self._living)

    async def close(self) -> None:
        """End at once."""
        for task in self._living:
            task.cancel()
        await asyncio.gather(*self._living, return_exceptions=True)
        await self._postman.close()

    def _admit(self, application: Application, order: Order) -> None:
        if application.in_arrears:
            raise Refused(Fault.ARREARS)
        if application.balance == 0:
            raise Refused(Fault.BALANCE)
        number = f"+{order.nationcode}{order.mobile}"
        self._frequency.check(application.app_id, number, order.kind, self.clock.now_s())
        if application.balance is not None:
            application.balance -= 1

    def _remember(self, call: Call) -> None:
        self.calls[call.callid] = call
        while len(self.calls) > MOST_CALLS:
            oldest = next((one for one in self.calls.values() if one.finished), None)
            if oldest is None:
                break
            del self.calls[oldest.callid]
        self.on_change(call)

    async def _live(self, call: Call, begun: asyncio.Event) -> None:
        """Go through the call's life; `begun` as soon as its send may be answered.

        That is at once, or after the first attempt to tell of it early: the send does not wait for others.
        """
        steps, telling = steps_of(call.course), []
        if call.course.early:
            early = next(step for step in steps if kind_of(step.happens, call.order.kind))
            steps.remove(early)
            telling.append(asyncio.ensure_future(self._tell(call, early, begun)))
        else:
            begun.set()
        passed_s = 0.0
        for step in steps:
            if step.after_s > passed_s:
                await self.clock.wait(step.after_s - passed_s)
                passed_s = step.after_s
            if kind_of(step.happens, call.order.kind) is None:
                self._note(call, step)
            else:
                telling.append(asyncio.ensure_future(self._tell(call, step)))
        await asyncio.gather(*telling)
        call.finished = True
        self.on_change(call)

    def _note(self, call: Call, step: Step) -> None:
        call.happened.append(Happened(at_s=call.placed_s + step.after_s, happens=step.happens, key=step.key))
        self.on_change(call)

    async def _tell(self, call: Call, step: Step, tried: asyncio.Event | None = None) -> None:
        """Bring a callback about a step to its receiver; `tried` is set when that was tried once."""
        kind = kind_of(step.happens, call.order.kind)
        assert kind is not None  # noqa: S101  # only such steps are told
        if kind is Kind.KEY:
            self._note(call, step)
        fields = fields_of(call, kind, step.key, self.account.applications[call.order.app_id].call_from)
        told = parcels(self._weather, CALLBACK_KEYS[kind], fields, self._chance)
        await asyncio.gather(*[self._deliver(call, kind, step.key, parcel, tried) for parcel in told])

    async def _deliver(
        self, call: Call, kind: Kind, key: str, parcel: Parcel, tried: asyncio.Event | None = None
    ) -> None:
        """Bring a callback to its URL, and again if it is not taken."""
        if parcel.wait_s and tried is None:
            await self.clock.wait(parcel.wait_s)
        self._last_number += 1
        number = self._last_number
        for attempt in range(self._weather.retries + 1):
            if attempt:
                await self.clock.wait(_RETRY_PAUSES_S[min(attempt, len(_RETRY_PAUSES_S)) - 1])
            began_s = time.time()
            url = self.account.applications[call.order.app_id].callback_url
            answer = await self._postman.carry(url, parcel._replace(cut=parcel.cut and not attempt))
            post = Post(
                number=number,
                attempt=attempt + 1,
                kind=kind,
                key=key,
                body=parcel.body,
                began_s=began_s,
                answer=answer,
            )
            call.posts.append(post)
            self.on_change(call)
            if tried is not None:
                tried.set()
            if post.accepted:
                return


def fields_of(call: Call, kind: Kind, key: str, call_from: str) -> dict[str, object]:
    """What a callback of this kind tells of a call.

    Source: the request parameters of the four callback pages, product 1128.
    """
    fields: dict[str, object] = {
        "call_from": call_from,
        "callid": call.callid,
        "mobile": call.order.mobile,
        "nationcode": call.order.nationcode,
    }
    if kind is Kind.KEY:
        return fields | {"keypress": key}
    if kind is Kind.FAILURE:
        code = call.course.failure_code or 0
        reason = FAILURE_REASONS.get(code)
        return fields | {"failure_code": code, "failure_reason": reason.zh if reason else ""}
    bill = bill_of(call.course, call.placed_s)
    return fields | {
        "result": str(call.course.result.value),
        "accept_time": str(bill.answered_s or 0),
        "end_calltime": str(bill.ended_s),
        "fee": str(bill.minutes),
        "start_calltime": str(bill.began_s),
    }
