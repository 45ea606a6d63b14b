"""The words of the project as frozen values; no I/O, no vendor names.

Times are aware UTC. `None` means: not known.
"""

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import ClassVar, Generic, TypeVar

import msgspec

T = TypeVar("T")

DEFAULT_CHANNEL = "default"
"""The channel of the callback URL without a token."""

MAX_PAGE_SIZE = 500
"""Items of a list that are given at once."""


class CallbackKind(StrEnum):
    """The kinds of callbacks: the status of a notification or of a code, a key press, a failure."""

    PROMPT = "prompt"
    CODE = "code"
    KEY = "key"
    FAILURE = "failure"


class Result(IntEnum):
    """How a call ended, by the vendor's status."""

    ANSWERED = 0
    UNANSWERED = 1
    ERROR = 2


class Outcome(StrEnum):
    """What became of a call, from all that is known."""

    PENDING = "pending"
    ANSWERED = "answered"
    UNANSWERED = "unanswered"
    FAILED = "failed"


class Role(StrEnum):
    """What the holder of a key may do: look, work on deliveries, endpoints and the quarantine, or everything."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Whether whoever may do this may do `other`, too."""
        return _ROLES_BY_RANK.index(self) >= _ROLES_BY_RANK.index(other)


_ROLES_BY_RANK = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)


class Callback(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A parsed callback; one of `Status`, `KeyPress`, `Failure`. A number is None if it is missing."""

    callid: str
    nationcode: str | None
    mobile: str | None
    call_from: str | None

    @property
    def e164(self) -> str | None:
        """The callee as `+8613788888888`, or None where nationcode and mobile form no number."""
        from answerback.domain.phone_numbers import e164  # its metadata is large: loaded when asked for

        return e164(self.nationcode or "", self.mobile or "")


class Status(Callback, frozen=True, kw_only=True, array_like=True, gc=False):
    """How a notification (`CallbackKind.PROMPT`) or a verification code (`CallbackKind.CODE`) ended."""

    kind: CallbackKind
    result: Result
    started_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    fee_minutes: int | None


class KeyPress(Callback, frozen=True, kw_only=True, array_like=True, gc=False):
    """The key that the callee pressed."""

    kind: ClassVar[CallbackKind] = CallbackKind.KEY
    key: str


class Failure(Callback, frozen=True, kw_only=True, array_like=True, gc=False):
    """Why the call could not be delivered: key on `code`, `reason` is prose and varies."""

    kind: ClassVar[CallbackKind] = CallbackKind.FAILURE
    code: int
    reason: str | None


AnyCallback = Status | KeyPress | Failure


class RawCallback(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The body of one POST as it came in by a channel, not yet read."""

    channel: str
    raw: bytes
    received_at: datetime


class ParsedCallback(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A callback as it came in by a channel. `fingerprint` is the same for a repeat, and only for a repeat."""

    channel: str
    callback: AnyCallback
    fingerprint: bytes
    raw: bytes
    received_at: datetime


class RejectedCallback(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A body that could not be understood, on its way to quarantine. `result` is what its sender is answered.

    One that is not `bounded` is kept whatever else the quarantine holds: it is a callback that the ledger refused.
    """

    channel: str
    raw: bytes
    result: int
    reason: str
    received_at: datetime
    bounded: bool = True


class StoredCallback(msgspec.Struct, frozen=True, kw_only=True):
    """A callback as it stands in the ledger: the raw bytes, and how often they came again.

    `public_id` is what it is known by outside; None where the ledger was opened without the key.
    """

    id: int
    kind: CallbackKind
    fingerprint: bytes
    public_id: bytes | None = None
    received_at: datetime
    duplicates: int
    last_duplicate_at: datetime | None
    raw: bytes
    erased_at: datetime | None = None


ROWS_RESULT = 0
"""The result of a quarantined item that is no refused body but rows of a log: their senders were answered OK."""


class QuarantineItem(msgspec.Struct, frozen=True, kw_only=True):
    """A body that was refused, with the response to its sender; or (ROWS_RESULT) rows of a log that cannot be read.

    Of rows that are missing or damaged, `raw` says no more than their place, as the beginning of `reason`.
    """

    id: int
    channel: str
    result: int
    reason: str
    received_at: datetime
    duplicates: int
    last_duplicate_at: datetime | None
    size_bytes: int
    raw: bytes

    @property
    def is_rows(self) -> bool:
        """Whether it is rows of a log: a batch of bodies, each with its channel."""
        return self.result == ROWS_RESULT

    @property
    def requeueable(self) -> bool:
        """Whether there is something to parse again."""
        return not (self.is_rows and self.reason.encode().startswith(self.raw))


MAX_KEYS = 200
"""Keys that a call keeps, so that none makes its record, and every commit that touches it, larger and larger."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known about one call, by channel and callid.

    `kind` is None while the call has only been annotated. `keys` are the first `MAX_KEYS` different ones in order of
    arrival; `keys_total` counts all presses. `revisions` counts the statuses and failures that differed from the first of
    their sort. `reference`, `metadata` and `due_at` are the annotation's, as of `annotated_at`; past `due_at` without an
    outcome it became overdue at `overdue_at`. `fingerprints` holds the fingerprints already folded in, as far as the caller loaded them.
    """

    callid: str
    channel: str
    kind: CallbackKind | None
    mobile: str | None = ""
    nationcode: str | None = ""
    call_from: str | None = ""
    outcome: Outcome = Outcome.PENDING
    result: Result | None = None
    started_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    fee_minutes: int | None = None
    failure_code: int | None = None
    failure_reason: str | None = None
    keys: tuple[str, ...] = ()
    keys_total: int = 0
    reference: str | None = None
    metadata: dict[str, object] | None = None
    due_at: datetime | None = None
    overdue_at: datetime | None = None
    revisions: int = 0
    first_seen_at: datetime
    updated_at: datetime
    annotated_at: datetime | None = None
    fingerprints: frozenset[bytes] = frozenset()

    @property
    def ring_seconds(self) -> int | None:
        return ring_s(self.outcome, to_unix_s(self.started_at), to_unix_s(self.answered_at), to_unix_s(self.ended_at))

    @property
    def talk_seconds(self) -> int | None:
        return talk_s(self.outcome, to_unix_s(self.answered_at), to_unix_s(self.ended_at))


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items of a list, and where the next page starts, if there is one."""

    items: list[T]
    next_cursor: str | None


class AlertState(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that people are alerted by, as it stands; `metric` is what it measures.

    `since` is when it last began or ended; None: nothing is known of it yet. `value` is what was measured last, `en` and
    `zh` say it in words. `notified_at` is when a notification was last sent, `error` why the last one failed.
    """

    rule: str
    metric: str
    firing: bool = False
    since: datetime | None = None
    value: float | None = None
    en: str = "not measured yet"
    zh: str = "尚未测量"
    notified_at: datetime | None = None
    error: str | None = None


ADMIN_KEY_FILE = "admin-key"
"""The file in the data directory that holds the key with all rights."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key. `id` 0 is the admin key of the data directory, which no ledger holds.

    `digest` is the key's SHA-256, which identifies it for ever. `full_numbers` is the right to see phone numbers in full, apart from the role.
    """

    id: int
    name: str
    digest: bytes
    role: Role
    full_numbers: bool
    created_at: datetime
    revoked_at: datetime | None = None


MAX_DURATION_S = 2**31 - 1
"""What is longer, between times that cannot be, counts as this: so what is due, and the sums of all calls, fit their columns."""


def ring_s(outcome: str, started_s: int | None, answered_s: int | None, ended_s: int | None) -> int | None:
    """How long it rang: until the answer, or to the end where nobody answered; None where that is not known.

    A time that cannot be, of a call that the vendor's clocks let end before it began, counts as not known.
    `exports.columns` says the same in SQL.
    """
    until_s = answered_s if outcome == Outcome.ANSWERED else ended_s if outcome == Outcome.UNANSWERED else None
    return _elapsed_s(started_s, until_s)


def talk_s(outcome: str, answered_s: int | None, ended_s: int | None) -> int | None:
    """How long the answered call lasted, as `ring_s` has it."""
    return _elapsed_s(answered_s, ended_s) if outcome == Outcome.ANSWERED else None


def _elapsed_s(since_s: int | None, until_s: int | None) -> int | None:
    return None if since_s is None or until_s is None or until_s < since_s else min(until_s - since_s, MAX_DURATION_S)


def to_unix_s(when: datetime | None) -> int | None:
    """Whole seconds since 1970."""
    return None if when is None else int(when.timestamp())
