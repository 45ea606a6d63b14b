"""The shapes that a reader sees, in JSON: the same from the API and from the command line.

Times are ISO 8601 in UTC. Numbers are masked unless the reader may see them in full.
"""

from base64 import b64encode
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from answerback.ledger import Entry, Quarantined
from answerback.model import Call, Kind, Outcome
from answerback.numbers import mask, mask_numbers_in, mask_text

T = TypeVar("T")


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class CallView(_View):
    """All that is known of one call."""

    callid: str = Field(examples=["d9428888-122b-11e1-b85c-61cd3cbb3210"])
    channel: str = Field(examples=["default"])
    kind: Kind = Field(description="what told of the call: a status of a prompt or a code; else a failure, else a key")
    mobile: str = Field(examples=["13788888888"])
    nationcode: str = Field(examples=["86"])
    call_from: str
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
    keys: list[str] = Field(description="the keys pressed, in order of arrival")
    reference: str | None = Field(description="the business's own id of the call")
    metadata: dict[str, Any] | None
    revisions: int = Field(description="how many statuses and failures differed from the first of their sort")
    first_seen_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, call: Call, *, full_numbers: bool) -> "CallView":
        """The view of `call`."""
        hide = str if full_numbers else mask
        values = {name: getattr(call, name) for name in cls.model_fields}
        return cls(**values | {"mobile": hide(call.mobile), "call_from": hide(call.call_from)})


class CallbackView(_View):
    """One callback as it was received."""

    id: int
    kind: Kind
    identity: str = Field(description="hex; the same for a repeat, and only for a repeat")
    received_at: datetime
    repeats: int = Field(description="how often the same callback came again")
    repeated_at: datetime | None
    raw: str = Field(description="the body as text; bytes that are not UTF-8 are replaced")
    raw_base64: str | None = Field(description="the exact bytes; null where numbers are masked")

    @classmethod
    def of(cls, entry: Entry, *, full_numbers: bool) -> "CallbackView":
        """The view of `entry`."""
        return cls(
            id=entry.id,
            kind=entry.kind,
            identity=entry.identity.hex(),
            received_at=entry.received_at,
            repeats=entry.repeats,
            repeated_at=entry.repeated_at,
            **_raw(entry.raw, full_numbers=full_numbers),
        )


class QuarantinedView(_View):
    """A body that was refused, without its content."""

    id: int
    channel: str
    result: int = Field(description="what its sender was answered")
    reason: str
    size_bytes: int
    received_at: datetime
    repeats: int
    repeated_at: datetime | None

    @classmethod
    def of(cls, body: Quarantined) -> "QuarantinedView":
        """The view of `body`."""
        return cls(**{name: getattr(body, name) for name in cls.model_fields})


class QuarantinedBodyView(QuarantinedView):
    """A body that was refused, with its content."""

    raw: str = Field(description="the body as text; bytes that are not UTF-8 are replaced")
    raw_base64: str | None = Field(description="the exact bytes; null where numbers are masked")

    @classmethod
    def with_body(cls, body: Quarantined, *, full_numbers: bool) -> "QuarantinedBodyView":
        """The view of `body` and its bytes."""
        return cls(**QuarantinedView.of(body).model_dump(), **_raw(body.raw, full_numbers=full_numbers))


class Listing(_View, Generic[T]):
    """A page: its items, and the cursor of the next page, or null."""

    items: list[T]
    next_cursor: str | None = None


class Problem(_View):
    """What is wrong with a request, and where."""

    detail: str
    field: str | None = None
    channels: list[str] | None = None


def _raw(raw: bytes, *, full_numbers: bool) -> dict[str, str | None]:
    text = raw.decode("utf-8", "replace")
    if full_numbers:
        return {"raw": text, "raw_base64": b64encode(raw).decode()}
    try:
        masked = mask_numbers_in(msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf")), text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        masked = mask_text(text)
    return {"raw": masked, "raw_base64": None}
