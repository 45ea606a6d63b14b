"""Calls, and those whose fee is not what is due."""

from datetime import datetime
from typing import Any

from pydantic import Field

from answerback.domain.models import MAX_KEYS, Call, CallbackKind, Outcome
from answerback.domain.statistics import due_minutes
from answerback.schemas.statistics import FeesView
from answerback.schemas.view import Items, View


class CallView(View):
    """Everything known about one call."""

    callid: str = Field(examples=["d9428888-122b-11e1-b85c-61cd3cbb3210"])
    channel: str = Field(examples=["default"])
    kind: CallbackKind | None = Field(
        description="kind of the callback that describes the call: a status of a prompt or code, else a failure, else a key; null: only an annotation"
    )
    mobile: str | None = Field(examples=["13788888888"], description="null: in no callback; likewise the next two")
    nationcode: str | None = Field(examples=["86"])
    call_from: str | None
    outcome: Outcome
    result: int | None = Field(
        description="the vendor's result: 0 answered, 1 not answered, 2 call error; null: no status yet"
    )
    started_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    ring_seconds: int | None = Field(description="until the call was answered, or until an unanswered call ended")
    talk_seconds: int | None
    fee_minutes: int | None = Field(description="billed minutes, as reported by the vendor")
    failure_code: int | None
    failure_reason: str | None
    keys: Items[str] = Field(description=f"the different keys pressed, the first {MAX_KEYS} in order of arrival")
    keys_total: int = Field(description="number of all key presses, including those not in keys")
    reference: str | None = Field(description="your application's id of the call")
    metadata: dict[str, Any] | None
    due_at: datetime | None = Field(description="when an outcome is due, by the annotation")
    overdue_at: datetime | None = Field(description="when an overdue event was created")
    revisions: int = Field(description="number of statuses and failures that differ from the first of their kind")
    first_seen_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, call: Call, *, full_numbers: bool) -> "CallView":
        return cls.read_from(call, full_numbers=full_numbers)


class FeeMismatchView(CallView):
    """A call with a fee mismatch."""

    due_minutes: int
    overbilled_minutes: int | None = Field(description="billed minus due minutes; below 0: too little was billed")

    @classmethod
    def of(cls, call: Call, *, full_numbers: bool) -> "FeeMismatchView":
        due, view = due_minutes(call.outcome, call.talk_seconds) or 0, CallView.of(call, full_numbers=full_numbers)
        excess = None if view.fee_minutes is None else view.fee_minutes - due
        return cls(**view.model_dump(), due_minutes=due, overbilled_minutes=excess)


class FeeAuditView(FeesView):
    """The sums of a range, and a page of the calls whose fee does not match."""

    since: datetime
    until: datetime
    items: Items[FeeMismatchView]
    next_cursor: str | None
