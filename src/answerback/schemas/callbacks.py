"""Callbacks as they were received, and those that were rejected."""

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from answerback.domain.masking import mask_json
from answerback.domain.models import CallbackKind, QuarantineItem, StoredCallback
from answerback.domain.phone_numbers import mask_text
from answerback.schemas.view import Items, View
from answerback.tencent.callbacks import extract_fields


class CallbackView(View):
    """One callback as it was received."""

    id: int
    kind: CallbackKind
    fingerprint: str | None = Field(
        description="hex, keyed by server.secret; the same for a repeat, and only for a repeat; the id of its trace; null "
        "for a command that has no server.secret"
    )
    received_at: datetime
    duplicates: int = Field(description="number of duplicates received")
    last_duplicate_at: datetime | None
    raw: str = Field(description="the body as text; bytes that are not UTF-8 are replaced")
    raw_base64: str | None = Field(description="the exact bytes; null if numbers are masked")
    erased_at: datetime | None = Field(
        None,
        description="when somebody's number was erased from the body, which has stars in its place; null: it is as received",
    )

    @classmethod
    def of(cls, entry: StoredCallback, *, full_numbers: bool) -> "CallbackView":
        fingerprint = None if entry.public_id is None else entry.public_id.hex()
        body = body_fields(entry.raw, full_numbers=full_numbers)
        return cls.read_from(entry, full_numbers=full_numbers, fingerprint=fingerprint, **body)


class DifferenceView(View):
    """A field whose value differs in another callback of the same kind; null if it is missing there."""

    field: str
    before: str | None
    after: str | None

    @classmethod
    def between(cls, before: bytes, after: bytes, *, full_numbers: bool) -> "list[DifferenceView]":
        """The fields in which two callbacks of a call differ, by the vendor's names. Raises ValueError if one cannot be parsed."""
        old, new = extract_fields(before), extract_fields(after)
        return [
            cls(
                field=field if full_numbers else mask_text(field),
                before=_format_field(field, old, full_numbers=full_numbers),
                after=_format_field(field, new, full_numbers=full_numbers),
            )
            for field in dict.fromkeys((*old, *new))
            if old.get(field, ...) != new.get(field, ...)
        ]


def _format_field(field: str, fields: Mapping[str, Any], *, full_numbers: bool) -> str | None:
    if field not in fields:
        return None
    value = fields[field] if full_numbers else mask_json(fields[field], field)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class QuarantinedView(View):
    """A quarantined body, without its content."""

    id: int
    channel: str
    result: int = Field(
        description="the result of the response to its sender; 0: rows of the inbox that cannot be read, whose senders were answered OK"
    )
    reason: str
    requeueable: bool = Field(
        description="false: rows of the inbox that are missing or damaged; nothing of them is left to be parsed again"
    )
    size_bytes: int
    received_at: datetime
    duplicates: int
    last_duplicate_at: datetime | None

    @classmethod
    def of(cls, body: QuarantineItem, *, full_numbers: bool) -> "QuarantinedView":
        return cls.read_from(body, full_numbers=full_numbers)


class QuarantinedBodyView(QuarantinedView):
    """A quarantined body, with its content."""

    raw: str = Field(description="the body as text; bytes that are not UTF-8 are replaced")
    raw_base64: str | None = Field(description="the exact bytes; null if numbers are masked")

    @classmethod
    def with_body(cls, body: QuarantineItem, *, full_numbers: bool) -> "QuarantinedBodyView":
        return cls.read_from(body, full_numbers=full_numbers, **body_fields(body.raw, full_numbers=full_numbers))


class RequeueView(View):
    """The result of parsing a quarantined body again."""

    id: int
    disposition: str | None = Field(description="stored or duplicate; null: still not a callback")
    reason: str | None = Field(description="why it is still not a callback")


class SubmittedLineView(View):
    """The vendor's response to one line."""

    line: int = Field(description="line number, starting at 1")
    result: int = Field(description="0: stored, or a duplicate of a stored one")
    errmsg: str


class BulkSubmitView(View):
    """The results of many callbacks: one item for each non-empty line, in order."""

    items: Items[SubmittedLineView]
    accepted: int
    refused: int = Field(description="not callbacks; quarantined unless they are too large")
    unavailable: int = Field(description="not known to be stored: submit these again")


class CallbackResponseView(View):
    """The vendor's response to a single callback."""

    result: int
    errmsg: str


def body_fields(raw: bytes, *, full_numbers: bool) -> dict[str, str | None]:
    """A body as text, and as bytes for who may see numbers in full."""
    return {"raw": raw.decode("utf-8", "replace"), "raw_base64": b64encode(raw).decode() if full_numbers else None}
