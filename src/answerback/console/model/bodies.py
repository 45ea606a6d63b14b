"""The bytes of a body, or what a reader may see of them, for the eye: JSON set out in lines, text, or bytes; pure."""

from base64 import b64decode
from typing import NamedTuple

import msgspec

from answerback.domain.models import Kind
from answerback.schemas.calls import CallbackView, QuarantinedBodyView

_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
_ROW_BYTES = 16
_MOST_BYTES = 4096
_LONGEST_TEXT = 65_536


class Body(NamedTuple):
    """What to show of a body. `form` is "json", "text" or "bytes"; `cut` tells that this is only its beginning."""

    text: str
    form: str
    has_bom: bool
    cut: bool


def body_of(view: CallbackView | QuarantinedBodyView) -> Body:
    """The body to be shown: of bytes that are no text, all of them where they may be seen, or else what is text in them."""
    plain = view.raw.removeprefix("\ufeff")
    text, form = _set_out(plain, None if view.raw_base64 is None else b64decode(view.raw_base64))
    has_bom = len(plain) < len(view.raw)
    return Body(text[:_LONGEST_TEXT], form, has_bom, len(text) > _LONGEST_TEXT or len(plain) > _LONGEST_TEXT)


def sort_of(kind: Kind) -> str | None:
    """Which callbacks are compared with each other: statuses, failures; keys with nothing."""
    return {Kind.KEY: None, Kind.FAILURE: "failure"}.get(kind, "status")


def _set_out(plain: str, exact: bytes | None) -> tuple[str, str]:
    if exact is not None and "\ufffd" in plain:
        return _dump(exact[:_MOST_BYTES]), "bytes"
    try:
        msgspec.json.decode(plain)
        return msgspec.json.format(plain, indent=2), "json"
    except _UNREADABLE:
        return plain, "text"


def _dump(raw: bytes) -> str:
    """Offset, bytes in hex, and the letters among them."""
    rows = []
    for start in range(0, len(raw), _ROW_BYTES):
        row = raw[start : start + _ROW_BYTES]
        letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in row)  # noqa: PLR2004  # printable ASCII
        rows.append(f"{start:04x}  {row.hex(' '):<{_ROW_BYTES * 3 - 1}}  {letters}")
    return "\n".join(rows)
