"""For tests of programs that get callbacks: each callback as a value and as bytes, and the cloud itself.

The builders need nothing but `answerback`. `VoiceCloud`, also the pytest fixture `voice_cloud`, needs the extra `emulator`.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.models import CallbackKind, Failure, KeyPress, Result, Status
from answerback.errors import MissingExtra
from answerback.tencent.wire import encode_callback

if TYPE_CHECKING:
    from answerback.emulator.testing import VoiceCloud as VoiceCloud  # noqa: PLC0414  # it is for others

__all__ = ["answered", "call_error", "encode_callback", "failure", "key_press", "unanswered"]

_STARTED = datetime(2016, 8, 3, 4, 6, 36, tzinfo=UTC)
_CALL = {"callid": "d9428888-122b-11e1-b85c-61cd3cbb3210", "nationcode": "86", "mobile": "13788888888", "call_from": ""}
_ANSWERED = Status(
    **_CALL,
    kind=CallbackKind.PROMPT,
    result=Result.ANSWERED,
    started_at=_STARTED,
    answered_at=_STARTED + timedelta(seconds=15),
    ended_at=_STARTED + timedelta(seconds=25),
    fee_minutes=1,
)
_NOT_ANSWERED = msgspec.structs.replace(_ANSWERED, answered_at=None, fee_minutes=0)


def answered(**fields: Any) -> Status:
    """A call that was answered after 15 seconds and took 10; `kind="code"` is that of a verification code."""
    return _status(_ANSWERED, fields)


def unanswered(**fields: Any) -> Status:
    """A call that nobody answered."""
    return _status(_NOT_ANSWERED, {"result": Result.UNANSWERED} | fields)


def call_error(**fields: Any) -> Status:
    """A call that could not be made; `failure` says why."""
    return _status(_NOT_ANSWERED, {"result": Result.ERROR} | fields)


def key_press(key: str = "1", **fields: Any) -> KeyPress:
    """The callee pressed a key."""
    return KeyPress(**_CALL | fields, key=key)


def failure(code: int = 8, **fields: Any) -> Failure:
    """Why a call could not be delivered, with the vendor's words for `code`; 8 is a number that does not exist."""
    reason = FAILURE_REASONS.get(code)
    return Failure(**{**_CALL, "reason": reason.zh if reason else ""} | fields, code=code)


def _status(status: Status, fields: dict[str, Any]) -> Status:
    if "kind" in fields:
        fields = fields | {"kind": CallbackKind(fields["kind"])}
    return msgspec.structs.replace(status, **fields)


def __getattr__(name: str) -> object:
    """`VoiceCloud`, which is imported when it is asked for, because it needs the extra `emulator`."""
    if name != "VoiceCloud":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from answerback.emulator.testing import VoiceCloud
    except ModuleNotFoundError as error:
        if (error.name or "answerback").startswith("answerback"):
            raise
        raise MissingExtra(
            f'answerback.testing.VoiceCloud needs {error.name}: pip install "answerback[emulator]"'
        ) from error
    return VoiceCloud
