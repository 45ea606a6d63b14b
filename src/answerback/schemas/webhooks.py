"""The body of a signed webhook."""

from datetime import datetime

from pydantic import Field

from answerback.domain.webhook_payload import EVENT_TYPES
from answerback.schemas.callbacks import CallbackView
from answerback.schemas.calls import CallView
from answerback.schemas.view import View


class VoiceEventData(View):
    """What an event is about."""

    call: CallView
    callback: CallbackView | None = Field(
        description="the callback of the event; null: the event is about the call itself"
    )


class VoiceEvent(View):
    """What happened to a call. Phone numbers are in full."""

    type: str = Field(json_schema_extra={"enum": list(EVENT_TYPES.values())})
    timestamp: datetime = Field(description="when it happened")
    data: VoiceEventData

    @property
    def call(self) -> CallView:
        return self.data.call

    @property
    def callback(self) -> CallbackView | None:
        return self.data.callback
