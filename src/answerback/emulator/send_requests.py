"""Applications, accounts and send requests."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from answerback.domain.models import CallbackKind
from answerback.emulator.vendor_errors import SendRejected, VendorError

MAX_TEXT_CHARS = 100
MAX_CODE_CHARS = 10
"""Characters."""

_PLACEHOLDER = re.compile(r"\{([1-9][0-9]?)\}")
_SECONDS = re.compile(r"[0-9]{1,12}")
_MAX_SHOWN_CHARS = 40


class Application(msgspec.Struct, kw_only=True):
    """A voice application of the cloud's console.

    `templates`: id -> text with {1}, {2}, …; `balance`: calls that may still be made, None: any number.
    """

    app_id: str
    app_key: str
    callback_url: str
    name: str = ""
    templates: dict[str, str] = {}
    sensitive_words: Sequence[str] = ()
    call_from: str = ""
    balance: int | None = None
    disabled: bool = False
    in_arrears: bool = False
    files: set[str] = msgspec.field(default_factory=set)


class Account(msgspec.Struct, kw_only=True):
    """An account: its applications by SDK AppID, and its keys for API 3.0, SecretId -> SecretKey."""

    applications: dict[str, Application]
    secrets: Mapping[str, str]


class SendRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A call that is asked for. `session_context` is the sender's own (ext, SessionContext), echoed in the response."""

    app_id: str
    kind: CallbackKind
    nationcode: str
    mobile: str
    text: str
    plays: int
    session_context: str = ""


def optional_text(value: object) -> str | None:
    """A field that is a string or, as some SDKs send it, a number; None where it is neither, or empty."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value) or None


def check_clock(name: str, time: object, now_s: float, allowed_s: int, error: VendorError) -> None:
    """Raise SendRejected where `time` is not a time in seconds, or further from the emulator's than is allowed."""
    text = optional_text(time)
    if text is None or not _SECONDS.fullmatch(text):
        raise SendRejected(error, f"{name} is {_describe_value(time)}, not whole seconds since 1970")
    off_s = int(text) - round(now_s)
    if abs(off_s) > allowed_s:
        side = "ahead of" if off_s > 0 else "behind"
        raise SendRejected(
            error, f"{name} is {text}, {abs(off_s)} s {side} the emulator's clock; {allowed_s} s are allowed"
        )


def template_text(application: Application, template_id: object, parameters: object) -> str:
    """The text of a template with its parameters put in. Raises SendRejected."""
    named = optional_text(template_id) or ""
    text = application.templates.get(named)
    if text is None:
        known = ", ".join(application.templates) or "none"
        raise SendRejected(VendorError.TEMPLATE, f"template {_describe_value(template_id)}; there are {known}")
    values = _parameters(parameters)
    wanted = count_parameters(text)
    if wanted > len(values):
        raise SendRejected(VendorError.TEMPLATE, f"the template wants {wanted} parameters, here are {len(values)}")
    return check_sensitive_words(application, _PLACEHOLDER.sub(lambda place: values[int(place[1]) - 1], text))


def count_parameters(template: str) -> int:
    """How many parameters the text of a template wants."""
    return max((int(place) for place in _PLACEHOLDER.findall(template)), default=0)


def check_sensitive_words(application: Application, text: str) -> str:
    """The very `text`, for it holds no word that may not be said. Raises SendRejected."""
    if word := next((word for word in application.sensitive_words if word in text), None):
        raise SendRejected(VendorError.SENSITIVE_WORD, word)
    return text


def check_length(name: str, text: str, max_chars: int) -> None:
    """Raise SendRejected where there are more characters than that."""
    if len(text) > max_chars:
        raise SendRejected(VendorError.TOO_LONG, f"{name} has {len(text)} characters, {max_chars} are allowed")


def read_fields(body: bytes) -> dict[str, Any]:
    """The object that a request's body holds. Raises SendRejected."""
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SendRejected(VendorError.JSON, str(error)) from error
    if not isinstance(fields, dict):
        raise SendRejected(VendorError.JSON, "an object is expected")
    return fields


def _describe_value(value: object) -> str:
    """A field as its sender knows it, of which it may be no more than the beginning."""
    if value is None or value == "":
        return "missing"
    return (value if isinstance(value, str) else msgspec.json.encode(value).decode())[:_MAX_SHOWN_CHARS]


def _parameters(values: object) -> list[str]:
    if values is None:
        return []
    if not isinstance(values, list):
        raise SendRejected(VendorError.PARAMETERS, "the parameters are an array of strings")
    for place, value in enumerate(values, 1):
        if not isinstance(value, str):
            raise SendRejected(VendorError.PARAMETERS, f"parameter {place} is not a string")
        check_length(f"parameter {place}", value, MAX_TEXT_CHARS)
    return values


def split_number(number: str) -> tuple[str, str]:
    """A number with + and its country's code, as nationcode and the rest. Raises SendRejected."""
    import phonenumbers  # only who is called needs it

    try:
        nationcode = str(phonenumbers.parse(number).country_code)
    except phonenumbers.NumberParseException as error:
        raise SendRejected(VendorError.CALLEE, str(error)) from error
    return nationcode, number[1 + len(nationcode) :]
