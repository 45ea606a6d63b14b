"""The events of /v1/events: callbacks that came in, and attempts that were made."""

from base64 import b64decode
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field

from answerback.domain.masking import mask_fields
from answerback.domain.models import CallbackKind, Outcome
from answerback.schemas.view import View


class ActivityType(StrEnum):
    """What happened: a callback came in, or an attempt was made to deliver an event to an endpoint."""

    CALLBACK = "callback"
    ATTEMPT = "attempt"


class _BaseActivityView(View):
    """What both have."""

    cursor: str = Field(description="the position behind this event: `after` goes on from it")
    at: datetime = Field(description="when the callback came in, or the attempt ended")
    channel: str
    callid: str
    mobile: str
    outcome: Outcome = Field(description="of the call, as known when the event is sent")

    def masked(self) -> Self:
        """The same for who may not see numbers."""
        return self.model_copy(update=mask_fields(dict(self), full_numbers=False))


class CallbackActivityView(_BaseActivityView):
    """A callback came in."""

    type: Literal[ActivityType.CALLBACK] = ActivityType.CALLBACK
    id: int
    kind: CallbackKind
    raw: str = Field(description="the body as text; bytes that are not UTF-8 are replaced")
    raw_base64: str | None = Field(description="the exact bytes; null if numbers are masked")

    @property
    def body(self) -> bytes:
        """The body; its exact bytes unless numbers are masked."""
        return self.raw.encode() if self.raw_base64 is None else b64decode(self.raw_base64)


class AttemptActivityView(_BaseActivityView):
    """An attempt was made to deliver an event to an endpoint."""

    type: Literal[ActivityType.ATTEMPT] = ActivityType.ATTEMPT
    id: int
    delivery_id: int
    endpoint: str
    event: str = Field(description="the type of the event that was delivered", examples=["voice.call.answered"])
    http_status: int | None = Field(description="null: no response")
    duration_ms: float
    error: str | None = Field(description="null: delivered")


ActivityView = Annotated[CallbackActivityView | AttemptActivityView, Field(discriminator="type")]
