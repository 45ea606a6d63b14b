"""Everything that can go wrong, by whose fault it is.

AnswerbackError
├── CallbackRejected          the sender's: the body is not a callback
│   ├── InvalidJson           it is not JSON
│   ├── InvalidCallbackField  a field is missing or has the wrong type
│   └── UnknownCallback       it has none of the contract's keys
├── InvalidResponse           the receiver's: its response is not the contract's
├── ConfigError               the operator's: a setting is invalid
├── ResourceNotFound          the caller's: no such call, endpoint, delivery or quarantined body
├── PermissionDenied          the caller's: the key does not have the right
│   └── FullNumbersRequired   to search calls by a number
├── TooManyAttempts           the caller's: too many wrong keys
├── LinkRefused               the caller's: a sign-in link was used, is too old, or was never made here
├── AmbiguousCall             the caller's: several channels have the callid
├── StateConflict             the caller's: the request conflicts with the current state
├── InvalidField              the caller's: a field of a request is invalid
│   ├── InvalidEndpoint       of an endpoint, or of an annotation
│   ├── InvalidRange          of a range of statistics
│   └── InvalidExportFilter   of the filters of an export
├── InvalidCursor             the caller's: not a cursor of a previous page
├── TooManyExports            nobody's: the maximum number of exports is running
├── ExportFailed              ours: an export stopped before its end
├── MissingExtra              the operator's: an optional library is not installed
└── LedgerError
    ├── LedgerUnavailable     the disk's, the database's or the stream's: nothing was stored, try again
    ├── PositionConflict      the log's: somebody else recorded rows of it
    ├── UnsafeStorage         the directory or a setting breaks "answered means stored"
    ├── UnsafeStream          a property of the stream does
    └── SchemaMismatch        the schema is not this program's
"""

import os
from collections.abc import Sequence
from enum import StrEnum


def describe_os_error(error: OSError) -> str:
    """The system's own words; the socket module and asyncio add theirs to them."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)


class AnswerbackError(Exception):
    """The root: `except AnswerbackError` catches all that this package raises on purpose."""


class CallbackRejected(AnswerbackError):
    """The bytes are not a callback; `errmsg` is what the response to the sender says.

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


class ResourceNotFound(AnswerbackError):
    """Nothing by that id."""


class PermissionDenied(AnswerbackError):
    """The key does not have the right; the message names the one that is required."""


class FullNumbersRequired(PermissionDenied):
    """Calls were searched by a number, in `field`, with a key that may not see numbers."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(f"{field}: searching calls by a phone number requires the right to full numbers")


class TooManyAttempts(AnswerbackError):
    """Too many wrong keys, from one address or in all; this one was not checked."""

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"too many wrong keys: try again in {retry_after_s} s")


class LinkRefusal(StrEnum):
    """Why a sign-in link does not open."""

    USED = "the sign-in link was used already"
    EXPIRED = "the sign-in link has expired"
    UNKNOWN = "the sign-in link is unknown here"


class LinkRefused(AnswerbackError):
    """A sign-in link opens nothing, or nothing any more."""

    def __init__(self, reason: LinkRefusal) -> None:
        self.reason = reason
        super().__init__(str(reason))


class AmbiguousCall(AnswerbackError):
    """Several channels have this callid, and the request named none."""

    def __init__(self, callid: str, channels: Sequence[str]) -> None:
        self.callid = callid
        self.channels = tuple(channels)
        super().__init__(f"several channels have the callid {callid}: name one of {', '.join(channels)}")


class StateConflict(AnswerbackError):
    """The request conflicts with the current state: a name is in use, or the config file decides."""


class InvalidField(AnswerbackError):
    """A field of a request is invalid; `field` names it."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


class InvalidEndpoint(InvalidField):
    """A field of an endpoint or of an annotation is invalid."""


class InvalidRange(InvalidField):
    """The range of statistics is invalid."""


class InvalidCursor(AnswerbackError):
    """The cursor is not one of a previous page."""


class InvalidExportFilter(InvalidField):
    """A filter does not apply to what is exported."""


class TooManyExports(AnswerbackError):
    """The maximum number of exports is running: try again later."""

    retry_after_s = 15


class ExportFailed(AnswerbackError):
    """An export stopped before its end: the file is incomplete."""


class MissingExtra(AnswerbackError):
    """An optional library is not installed; the message says how to install it."""


class LedgerError(AnswerbackError):
    """The ledger cannot be used."""


class UnavailableReason(StrEnum):
    """Why nothing can be stored or read, in public words; operations.md says what to do about each.

    The database is the inbox's or the ledger's: the detail, in the log, names it.
    """

    LOCKED = "the database is locked"
    BUSY = "the database is busy"
    DISK_FULL = "the disk is full"
    DISK_FAILED = "the disk is failing"
    STALLED = "the disk does not answer"
    READ_ONLY = "the database cannot be written"
    DAMAGED = "the database is damaged"
    MOVED = "the database's file was moved or replaced"
    UNREACHABLE = "the database cannot be reached"
    DENIED = "the ledger denies access to the gateway"
    SCHEMA = "the database has the schema of another version"
    UNSAFE = "the ledger may lose committed data"
    VALUE = "the ledger cannot store a value"
    UNKNOWN = "the database does not answer"
    COMMIT_UNKNOWN = "the connection broke during the commit"
    WRITER_ENDED = "the ledger's writer ended"
    WRITER_STARTING = "the ledger's writer is starting again"
    WRITER_SILENT = "the ledger's writer does not answer"
    OVERLOADED = "too many callbacks are waiting to be stored"
    INBOX_FULL = "the inbox is full"
    STREAM_UNREACHABLE = "the stream cannot be reached"
    STREAM_SILENT = "the stream does not acknowledge"
    STREAM_FULL = "the stream is full"
    STREAM_UNSAFE = "the stream may lose acknowledged messages"
    ENDPOINTS_UNREAD = "the endpoints are not loaded yet"
    FAULT = "an internal error, see the log"


class LedgerUnavailable(LedgerError):
    """The log or the ledger could not be used: nothing is known to be stored, the caller may retry.

    Its message is `reason` alone, safe for anybody. `detail` is the driver's or the system's message: for logs and the
    command line.
    """

    def __init__(self, reason: UnavailableReason, detail: str = "") -> None:
        self.reason = reason
        self.detail = " ".join(detail.split())
        super().__init__(str(reason))

    @property
    def explanation(self) -> str:
        """The reason with its detail."""
        return f"{self.reason} ({self.detail})" if self.detail else str(self.reason)


class PositionConflict(LedgerError):
    """The ledger holds another position of a log than its recorder thought: somebody else recorded it. Nothing was stored."""


class UnsafeStorage(LedgerError):
    """The directory of inbox or ledger, or a setting of the database, breaks "answered means stored"."""


class UnsafeStream(LedgerError):
    """A property of the stream would break law 1; the message names it, its value, the required one, and the fix."""


class SchemaMismatch(LedgerError):
    """The ledger's schema is older or newer than this program's."""


def public_reason(error: AnswerbackError) -> UnavailableReason:
    """Why there is no ledger, in words for anybody: a message may name paths and addresses."""
    if isinstance(error, LedgerUnavailable):
        return error.reason
    if isinstance(error, SchemaMismatch):
        return UnavailableReason.SCHEMA
    return UnavailableReason.UNSAFE if isinstance(error, UnsafeStorage) else UnavailableReason.UNKNOWN
