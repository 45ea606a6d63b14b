"""Everything that can go wrong, by whose fault it is.

AnswerbackError
├── CallbackRejected        the sender's: the body is no callback
│   ├── InvalidJson                 it is not JSON at all
│   ├── InvalidCallbackField              a field is missing or ill-typed
│   └── UnknownCallback         no key of the contract
├── InvalidResponse        the receiver's: its answer is not the contract's
├── ConfigError             the operator's: a setting is invalid
├── NotFound                the reader's: no such call, endpoint, delivery or quarantined body
├── Forbidden               the key's: it does not have the right
│   └── FullNumbersRequired     to find calls by a number
├── TooManyAttempts         whoever tries keys: too many were wrong
├── AmbiguousCall           the reader's: several channels hold the callid
├── Conflict                the caller's: it cannot be as things stand
├── InvalidField                   the caller's: a field of what is asked for is not what it may be
│   ├── InvalidEndpoint           of an endpoint, or of what is said of a call
│   ├── InvalidRange               of the range of statistics
│   └── InvalidExportFilter             a filter that this export does not have
├── InvalidCursor           the reader's: a page cursor we did not make
├── TooManyExports             nobody's: as many exports as may run do
├── ExportFailed            ours: an export ended before its end
├── MissingExtra            the operator's: an optional library is not installed
└── LedgerError
    ├── LedgerUnavailable       the disk's or the database's: nothing was stored, try again
    ├── UnsafeStorage            the place or a setting breaks "answered means stored"
    ├── UnsafeStream            a property of the stream in front of it does
    └── SchemaMismatch           the schema is not this program's
"""

from collections.abc import Sequence
from enum import StrEnum


class AnswerbackError(Exception):
    """The root: `except AnswerbackError` catches all that this package raises on purpose."""


class CallbackRejected(AnswerbackError):
    """The bytes are not a callback; `errmsg` is what the sender is told.

    `field` is the dotted path of the field at fault (`voiceprompt_callback.callid`), or None.
    """

    def __init__(self, problem: str, field: str | None = None) -> None:
        self.field = field
        self.errmsg = f"{field}: {problem}" if field else problem
        super().__init__(self.errmsg)


class InvalidJson(CallbackRejected):
    """The body is not one JSON text in UTF-8."""


class InvalidCallbackField(CallbackRejected):
    """A field is missing or is not what the contract says it is."""


class UnknownCallback(CallbackRejected):
    """The body is JSON, but holds none of the contract's callback keys."""


class InvalidResponse(AnswerbackError):
    """A receiver's answer is not the contract's `{"result":…,"errmsg":…}`."""


class ConfigError(AnswerbackError):
    """A setting is invalid; the message names it, where it was read, and what it may be."""


class NotFound(AnswerbackError):
    """Nothing by that id."""


class Forbidden(AnswerbackError):
    """Who asks does not have the right; the message names the one that is needed."""


class FullNumbersRequired(Forbidden):
    """Calls were asked for by a number, in `field`, by somebody who may not see numbers."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(f"{field}: to find calls by a phone number, a key needs the right to see full numbers")


class TooManyAttempts(AnswerbackError):
    """Too many wrong keys were tried, from one address or in all; this one was not looked at."""

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"too many wrong keys were tried: try again in {retry_after_s} s")


class AmbiguousCall(AnswerbackError):
    """Several channels hold this callid, and the reader named none."""

    def __init__(self, callid: str, channels: Sequence[str]) -> None:
        self.callid = callid
        self.channels = tuple(channels)
        super().__init__(f"callid {callid} is held by the channels {', '.join(channels)}: name one")


class Conflict(AnswerbackError):
    """What is asked for cannot be as things stand: a name is taken, or the config file decides."""


class InvalidField(AnswerbackError):
    """A field of what somebody asks for is not what it may be; `field` names it."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


class InvalidEndpoint(InvalidField):
    """A field of an endpoint, or of a call's reference."""


class InvalidRange(InvalidField):
    """The range of statistics."""


class InvalidCursor(AnswerbackError):
    """The cursor is not one that a former page gave."""


class InvalidExportFilter(InvalidField):
    """A filter does not fit what is to be exported."""


class TooManyExports(AnswerbackError):
    """As many exports as may run at a time do: try again in a while."""


class ExportFailed(AnswerbackError):
    """An export ended before its end: what came of it is not whole."""


class MissingExtra(AnswerbackError):
    """What is asked for needs a library that is not installed; the message says how to install it."""


class LedgerError(AnswerbackError):
    """The durable store cannot do what it is for."""


class UnavailableReason(StrEnum):
    """Why nothing can be stored or read, in all the words that leave the gateway; operations.md says what to do about each."""

    LOCKED = "the ledger is locked"
    BUSY = "the ledger is busy"
    DISK_FULL = "the disk is full"
    DISK_FAILED = "the disk fails"
    STALLED = "the disk does not answer"
    READ_ONLY = "the ledger cannot be written"
    DAMAGED = "the ledger is damaged"
    MOVED = "the ledger's file was moved or replaced"
    UNREACHABLE = "the ledger cannot be reached"
    DENIED = "the ledger does not admit the gateway"
    SCHEMA = "the ledger's schema is of another version"
    UNSAFE = "the ledger may lose what it is given"
    VALUE = "the ledger cannot hold a value"
    UNKNOWN = "the ledger does not answer"
    COMMIT_UNKNOWN = "the connection broke during the commit"
    WRITER_ENDED = "the ledger's writer ended"
    WRITER_STARTING = "the ledger's writer is starting again"
    OVERLOADED = "too many callbacks are waiting to be stored"
    STREAM_UNREACHABLE = "the stream cannot be reached"
    STREAM_SILENT = "the stream does not acknowledge"
    STREAM_FULL = "the stream is full"
    STREAM_UNSAFE = "the stream may lose what it is given"
    ENDPOINTS_UNREAD = "the endpoints are not read yet"
    FAULT = "a fault in the program, see the log"


class LedgerUnavailable(LedgerError):
    """The store did not take the batch: nothing of it was stored, the caller may try again.

    Its text is `reason` alone, fit for anybody. `detail` holds a driver's or the system's own words: for logs and for
    whoever runs the command.
    """

    def __init__(self, reason: UnavailableReason, detail: str = "") -> None:
        self.reason = reason
        self.detail = " ".join(detail.split())
        super().__init__(str(reason))

    @property
    def explanation(self) -> str:
        """The reason, with the detail."""
        return f"{self.reason} ({self.detail})" if self.detail else str(self.reason)


class UnsafeStorage(LedgerError):
    """The place or a setting of the store would break law 1, answered means stored."""


class UnsafeStream(LedgerError):
    """A property of the stream would break law 1; the message names it, what it is, must be, and how to mend it."""


class SchemaMismatch(LedgerError):
    """The store's schema is older or newer than this program's."""
