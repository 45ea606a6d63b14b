"""Calls, and those whose fee is not what is due."""

from datetime import datetime
from typing import Any

from pydantic import Field

from answerback.domain.masking import mask_fields
from answerback.domain.models import MAX_KEYS, Call, CallbackKind, Outcome
from answerback.domain.statistics import due_minutes
from answerback.schemas.view import View


class CallView(View):
    """All that is known of one call."""

    callid: str = Field(examples=["d9428888-122b-11e1-b85c-61cd3cbb3210"])
    channel: str = Field(examples=["default"])
    kind: CallbackKind | None = Field(
        description="what told of the call: a status of a prompt or a code; else a failure, else a key; null: only you"
    )
    mobile: str | None = Field(examples=["13788888888"], description="null: no callback tells it; so with the next two")
    nationcode: str | None = Field(examples=["86"])
    call_from: str | None
    outcome: Outcome
    result: int | None = Field(
        description="the vendor's: 0 answered, 1 not answered, 2 call error; null: no status yet"
    )
    started_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    ring_seconds: int | None = Field(description="until the answer, or to the end of an unanswered call")
    talk_seconds: int | None
    fee_minutes: int | None = Field(description="billed minutes, as the vendor says")
    failure_code: int | None
    failure_reason: str | None
    keys: list[str] = Field(description=f"the different keys pressed, the first {MAX_KEYS} in order of arrival")
    keys_total: int = Field(description="key presses in all, whether they are in keys or not")
    reference: str | None = Field(description="the business's own id of the call")
    metadata: dict[str, Any] | None
    due_at: datetime | None = Field(description="when the business expects an outcome")
    overdue_at: datetime | None = Field(description="when endpoints were told that there was none")
    revisions: int = Field(description="how many statuses and failures differed from the first of their sort")
    first_seen_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, call: Call, *, full_numbers: bool) -> "CallView":
        """The view of `call`."""
        values = {name: getattr(call, name) for name in cls.model_fields}
        return cls(**mask_fields(values, full_numbers=full_numbers))


class FeeMismatchView(CallView):
    """A call whose fee is not what is due."""

    due_minutes: int
    overbilled_minutes: int | None = Field(description="billed over due; below 0: too little was billed")

    @classmethod
    def of(cls, call: Call, *, full_numbers: bool) -> "FeeMismatchView":
        """The view of `call`."""
        due, view = due_minutes(call.outcome, call.talk_seconds) or 0, CallView.of(call, full_numbers=full_numbers)
        excess = None if view.fee_minutes is None else view.fee_minutes - due
        return cls(**view.model_dump(), due_minutes=due, overbilled_minutes=excess)
