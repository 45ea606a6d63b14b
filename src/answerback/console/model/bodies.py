"""The bytes of a body, or what a reader may see of them, for the eye: JSON set out in lines, text, or bytes; pure."""

from base64 import b64decode
from typing import NamedTuple

import msgspec

from answerback.domain.models import CallbackKind
from answerback.schemas.callbacks import CallbackView, QuarantinedBodyView

_DECODE_ERRORS = (msgspec.DecodeError, UnicodeError, RecursionError)
_ROW_BYTES = 16
_MAX_DUMP_BYTES = 4096
_MAX_TEXT = 65_536


class BodyText(NamedTuple):
    """What to show of a body. `format` is "json", "text" or "bytes"; `is_truncated`: this is only the beginning."""

    text: str
    format: str
    has_bom: bool
    is_truncated: bool


def format_body(view: CallbackView | QuarantinedBodyView) -> BodyText:
    """The body to be shown: of bytes that are no text, all of them where they may be seen, or else what is text in them."""
    plain = view.raw.removeprefix("\ufeff")
    text, form = _pretty_print(plain, None if view.raw_base64 is None else b64decode(view.raw_base64))
    has_bom = len(plain) < len(view.raw)
    return BodyText(text[:_MAX_TEXT], form, has_bom, len(text) > _MAX_TEXT or len(plain) > _MAX_TEXT)


def comparison_group(kind: CallbackKind) -> str | None:
    """Which callbacks are compared with each other: statuses, failures; keys with nothing."""
    return {CallbackKind.KEY: None, CallbackKind.FAILURE: "failure"}.get(kind, "status")


def _pretty_print(plain: str, exact: bytes | None) -> tuple[str, str]:
    if exact is not None and "\ufffd" in plain:
        return _hex_dump(exact[:_MAX_DUMP_BYTES]), "bytes"
    try:
        msgspec.json.decode(plain)
        return msgspec.json.format(plain, indent=2), "json"
    except _DECODE_ERRORS:
        return plain, "text"


def _hex_dump(raw: bytes) -> str:
    """Offset, bytes in hex, and the letters among them."""
    rows = []
    for start in range(0, len(raw), _ROW_BYTES):
        row = raw[start : start + _ROW_BYTES]
        letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in row)  # noqa: PLR2004  # printable ASCII
        rows.append(f"{start:04x}  {row.hex(' '):<{_ROW_BYTES * 3 - 1}}  {letters}")
    return "\n".join(rows)
