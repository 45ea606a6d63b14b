"""The emulated cloud: accepts send requests, runs their calls, and sends the callbacks."""

import asyncio
import random
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.models import CallbackKind
from answerback.emulator.callback_sender import CallbackAttempt, CallbackSender, ReceiverResponse
from answerback.emulator.clock import Clock
from answerback.emulator.faults import FaultProfile, OutgoingCallback, inject_faults
from answerback.emulator.limits import FrequencyLimiter, Limits, RequestLimiter
from answerback.emulator.outcomes import SHARES, CallScript, choose_script
from answerback.emulator.send_requests import Account, Application, SendRequest
from answerback.emulator.timeline import CallPhase, TimelineStep, build_timeline, callback_kind, compute_charge
from answerback.emulator.vendor_errors import SendRejected, VendorError
from answerback.tencent.wire import KEY_BY_KIND

MAX_CALLS = 10_000
"""Calls that are remembered; the oldest finished ones are forgotten."""


class PhaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a call, when it came."""

    at_s: float
    phase: CallPhase
    key: str = ""


class EmulatedCall(msgspec.Struct, kw_only=True):
    """A call, as far as it has gone. `attempts` are all callbacks that were sent about it, in order."""

    callid: str
    request: SendRequest
    script: CallScript
    placed_s: float
    history: list[PhaseRecord] = []
    attempts: list[CallbackAttempt] = []
    finished: bool = False


class Sender(Protocol):
    """What sends callbacks to their receivers."""

    async def send(self, url: str, callback: OutgoingCallback) -> ReceiverResponse:
        """Bring it once. A failure is a value."""

    async def close(self) -> None:
        """Close the connections."""


class Cloud:
    """An account's calls. Lives in one event loop; `close` it when done."""

    def __init__(
        self,
        account: Account,
        clock: Clock,
        *,
        faults: FaultProfile | None = None,
        limits: Limits | None = None,
        shares: Mapping[str, float] = SHARES,
        seed: int | None = None,
        sender: Sender | None = None,
    ) -> None:
        self.account = account
        self.clock = clock
        self.calls: OrderedDict[str, EmulatedCall] = OrderedDict()
        self.on_change: Callable[[EmulatedCall], None] = lambda _call: None
        self._faults = faults or FaultProfile()
        self._frequency = FrequencyLimiter(limits or Limits())
        self._requests = RequestLimiter((limits or Limits()).requests_per_second)
        self._shares = shares
        self._chance = random.Random(seed)  # noqa: S311  # chance, no secret
        self._sender = sender or CallbackSender()
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_number = 0

    async def place(self, request: SendRequest) -> EmulatedCall:
        """Begin a call; it lives on by itself. Raises SendRejected."""
        application = self.account.applications[request.app_id]
        self._admit(application, request)
        call = EmulatedCall(
            callid=str(uuid.uuid1()),
            request=request,
            script=choose_script(request.mobile, self._shares, self._chance),
            placed_s=self.clock.now_s(),
            history=[],
            attempts=[],
        )
        self._remember(call)
        begun = asyncio.Event()
        task = asyncio.get_running_loop().create_task(self._run_call(call, begun))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await begun.wait()
        return call

    def admit_request(self, action: str) -> None:
        """Count a request of API 3.0. Raises SendRejected where it is one too many in its second."""
        self._requests.record_request(action, self.clock.now_s())

    async def finish(self) -> None:
        """Wait until every call has come to its end, and every callback to its."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def active(self) -> int:
        """How many calls have not come to their end."""
        return len(self._tasks)

    async def close(self) -> None:
        """End at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._sender.close()

    def _admit(self, application: Application, request: SendRequest) -> None:
        if application.in_arrears:
            raise SendRejected(VendorError.ARREARS)
        if application.balance == 0:
            raise SendRejected(VendorError.BALANCE)
        number = f"+{request.nationcode}{request.mobile}"
        self._frequency.record_call(application.app_id, number, request.kind, self.clock.now_s())
        if application.balance is not None:
            application.balance -= 1

    def _remember(self, call: EmulatedCall) -> None:
        self.calls[call.callid] = call
        while len(self.calls) > MAX_CALLS:
            oldest = next((one for one in self.calls.values() if one.finished), None)
            if oldest is None:
                break
            del self.calls[oldest.callid]
        self.on_change(call)

    async def _run_call(self, call: EmulatedCall, begun: asyncio.Event) -> None:
        """Go through the call's life; `begun` as soon as its send may be answered.

        At once, or after the first attempt of a callback that comes early: the send does not wait for others.
        """
        steps, sending = build_timeline(call.script), []
        if call.script.early:
            early = next(step for step in steps if callback_kind(step.phase, call.request.kind))
            steps.remove(early)
            sending.append(asyncio.ensure_future(self._send_callback(call, early, begun)))
        else:
            begun.set()
        passed_s = 0.0
        for step in steps:
            if step.after_s > passed_s:
                await self.clock.wait(step.after_s - passed_s)
                passed_s = step.after_s
            if callback_kind(step.phase, call.request.kind) is None:
                self._record_phase(call, step)
            else:
                sending.append(asyncio.ensure_future(self._send_callback(call, step)))
        await asyncio.gather(*sending)
        call.finished = True
        self.on_change(call)

    def _record_phase(self, call: EmulatedCall, step: TimelineStep) -> None:
        call.history.append(PhaseRecord(at_s=call.placed_s + step.after_s, phase=step.phase, key=step.key))
        self.on_change(call)

    async def _send_callback(self, call: EmulatedCall, step: TimelineStep, tried: asyncio.Event | None = None) -> None:
        """Bring a callback about a step to its receiver; `tried` is set when that was tried once."""
        kind = callback_kind(step.phase, call.request.kind)
        assert kind is not None  # noqa: S101  # only steps with callbacks are sent
        if kind is CallbackKind.KEY:
            self._record_phase(call, step)
        fields = callback_fields(call, kind, step.key, self.account.applications[call.request.app_id].call_from)
        callbacks = inject_faults(self._faults, KEY_BY_KIND[kind], fields, self._chance)
        await asyncio.gather(*[self._deliver(call, kind, step.key, callback, tried) for callback in callbacks])

    async def _deliver(
        self,
        call: EmulatedCall,
        kind: CallbackKind,
        key: str,
        callback: OutgoingCallback,
        tried: asyncio.Event | None = None,
    ) -> None:
        """Bring a callback to its URL, and again if it is not taken."""
        if callback.delay_s and tried is None:
            await self.clock.wait(callback.delay_s)
        self._last_number += 1
        number = self._last_number
        for retry in range(self._faults.retries + 1):
            if retry:
                delays_s = self._faults.retry_delays_s
                await self.clock.wait(delays_s[min(retry, len(delays_s)) - 1])
            began_s = time.time()
            url = self.account.applications[call.request.app_id].callback_url
            answer = await self._sender.send(url, callback._replace(drop_halfway=callback.drop_halfway and not retry))
            attempt = CallbackAttempt(
                number=number,
                attempt=retry + 1,
                kind=kind,
                key=key,
                body=callback.body,
                started_s=began_s,
                response=answer,
            )
            call.attempts.append(attempt)
            self.on_change(call)
            if tried is not None:
                tried.set()
            if attempt.accepted:
                return


def callback_fields(call: EmulatedCall, kind: CallbackKind, key: str, call_from: str) -> dict[str, object]:
    """The fields of a callback of this kind about a call.

    Source: the request parameters of the four callback pages, product 1128.
    """
    fields: dict[str, object] = {
        "call_from": call_from,
        "callid": call.callid,
        "mobile": call.request.mobile,
        "nationcode": call.request.nationcode,
    }
    if kind is CallbackKind.KEY:
        return fields | {"keypress": key}
    if kind is CallbackKind.FAILURE:
        code = call.script.failure_code or 0
        reason = FAILURE_REASONS.get(code)
        return fields | {"failure_code": code, "failure_reason": reason.zh if reason else ""}
    bill = compute_charge(call.script, call.placed_s)
    return fields | {
        "result": str(call.script.result.value),
        "accept_time": str(bill.answered_s or 0),
        "end_calltime": str(bill.ended_s),
        "fee": str(bill.minutes),
        "start_calltime": str(bill.started_s),
    }
