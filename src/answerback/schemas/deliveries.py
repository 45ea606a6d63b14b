"""Deliveries, their attempts, and replays."""

from datetime import datetime
from typing import Any

from pydantic import Field

from answerback.domain.delivery_states import mask_message_id
from answerback.domain.endpoints import Attempt, Delivery, DeliveryState
from answerback.domain.masking import mask_fields
from answerback.domain.webhook_payload import EVENT_TYPES
from answerback.ledger.read.deliveries import MAX_ATTEMPTS
from answerback.relay.replays import Replay
from answerback.schemas.view import View


class DeliveryView(View):
    """The delivery of one event to one endpoint."""

    id: int
    message_id: str = Field(
        description="the webhook-id, the same in every attempt", examples=["dlv_17_9f86d081884c7d65"]
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
        own = {name: getattr(delivery, name) for name in DeliveryView.model_fields if name != "type"}
        if not full_numbers:
            own["message_id"] = mask_message_id(delivery.message_id)
        return cls(**mask_fields(own, full_numbers=full_numbers), type=EVENT_TYPES[delivery.event])


class AttemptView(View):
    """One POST to an endpoint."""

    started_at: datetime
    duration_ms: float
    http_status: int | None = Field(description="null: no response")
    response_body: str = Field(description="the first 2 KiB, as text")
    error: str | None = Field(description="null: delivered")

    @classmethod
    def of(cls, attempt: Attempt, *, full_numbers: bool) -> "AttemptView":
        """The view of `attempt`, masked because a response may contain phone numbers."""
        return cls(
            started_at=attempt.started_at,
            duration_ms=attempt.duration_s * 1000,
            http_status=attempt.http_status,
            **masked_response(attempt.response_body, attempt.error, full_numbers=full_numbers),
        )


class DeliveryWithAttemptsView(DeliveryView):
    """A delivery with its attempts."""

    attempt_log: list[AttemptView] = Field(description=f"the last {MAX_ATTEMPTS} attempts, in order")

    @classmethod
    def with_attempts(
        cls, delivery: Delivery, attempts: list[Attempt], *, full_numbers: bool
    ) -> "DeliveryWithAttemptsView":
        attempt_log = [AttemptView.of(one, full_numbers=full_numbers) for one in attempts]
        return cls(**DeliveryView.of(delivery, full_numbers=full_numbers).model_dump(), attempt_log=attempt_log)


def masked_response(response_body: bytes, error: str | None, *, full_numbers: bool) -> dict[str, Any]:
    """What an endpoint answered, as text: it may hold somebody's number."""
    return mask_fields(
        {"response_body": response_body.decode("utf-8", "replace"), "error": error}, full_numbers=full_numbers
    )


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

    @classmethod
    def of(cls, replay: Replay) -> "ReplayView":
        own = {name: getattr(replay, name) for name in cls.model_fields if name != "scope"}
        return cls(**mask_fields(own, full_numbers=False), scope=replay.scope)
