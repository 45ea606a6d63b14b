"""Deliveries, their attempts, and replays."""

from datetime import datetime

from pydantic import Field

from answerback.domain.endpoints import MAX_ATTEMPTS, Attempt, Delivery, DeliveryState
from answerback.domain.webhook_payload import EVENT_TYPES
from answerback.schemas.view import Items, View


class DeliveryView(View):
    """The delivery of one event to one endpoint."""

    id: int
    message_id: str = Field(
        description="the webhook-id, the same in every attempt", examples=["dlv_17_643a0788482425e9"]
    )
    endpoint: str
    channel: str
    callid: str
    callback_id: int | None = Field(description="null: the event is about the call itself")
    type: str = Field(examples=["voice.call.answered"])
    state: DeliveryState = Field(description="blocked: waiting for an earlier one of the same call")
    attempts: int
    failed_attempts: int = Field(description="failed attempts counted against the retry schedule")
    due_at: datetime = Field(description="time of the next attempt, while it is pending")
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, delivery: Delivery, *, full_numbers: bool) -> "DeliveryView":
        return cls.read_from(delivery, full_numbers=full_numbers, type=EVENT_TYPES[delivery.event])


class AttemptView(View):
    """One POST to an endpoint."""

    started_at: datetime
    duration_ms: float
    http_status: int | None = Field(description="null: no response")
    response_body: str = Field(description="the first 2 KiB, as text")
    error: str | None = Field(description="null: delivered")

    @classmethod
    def of(cls, attempt: Attempt, *, full_numbers: bool) -> "AttemptView":
        response_body = attempt.response_body.decode("utf-8", "replace")
        duration_ms = attempt.duration_s * 1000
        return cls.read_from(attempt, full_numbers=full_numbers, duration_ms=duration_ms, response_body=response_body)


class DeliveryWithAttemptsView(DeliveryView):
    """A delivery with its attempts."""

    attempt_log: Items[AttemptView] = Field(description=f"the last {MAX_ATTEMPTS} attempts, in order")

    @classmethod
    def with_attempts(
        cls, delivery: Delivery, attempts: list[Attempt], *, full_numbers: bool
    ) -> "DeliveryWithAttemptsView":
        attempt_log = [AttemptView.of(one, full_numbers=full_numbers) for one in attempts]
        own = {"type": EVENT_TYPES[delivery.event], "attempt_log": attempt_log}
        return cls.read_from(delivery, full_numbers=full_numbers, **own)


class ReplayView(View):
    """A replay and its progress."""

    id: int
    endpoint: str
    scope: str = Field(description="dead deliveries, or a selection of calls")
    total: int = Field(description="number of deliveries or calls at the start")
    examined: int
    replayed: int = Field(description="number of deliveries queued again")
    status: str = Field(description="running, done or failed")
    error: str | None
    started_at: datetime
