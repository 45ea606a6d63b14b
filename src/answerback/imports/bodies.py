r"""The body of a callback within a line of text, however the log has escaped it; pure.

nginx writes `"` as `\x22` and what is not ASCII as `\xHH` (escape=default), or escapes as JSON does (escape=json); Apache
writes `\"`, `\\`, `\n` and `\xhh`. Sources: nginx, ngx_http_log_module, log_format; Apache, mod_log_config.
"""

import json
import re

from answerback.tencent.callbacks import CALLBACK_KEYS

_SPACE = r"(?:\s|\\x0[9ad]|\\[nrt]|\\u000[9ad])*"
_BEGINNING = re.compile(
    rf'\{{{_SPACE}(?P<quote>"|\\"|\\x22|\\u0022)(?:{"|".join(CALLBACK_KEYS)})(?P=quote)', re.IGNORECASE
)
_ESCAPE = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|u00([0-9A-Fa-f]{2})|([nrtbf])|(["\\/]))')
_CONTROL = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}

_decoder = json.JSONDecoder()


def find_body(text: str) -> tuple[bytes, int] | None:
    """The bytes of the first callback in `text` and where it begins; None where there is none that is whole."""
    beginning = _BEGINNING.search(text)
    if beginning is None:
        return None
    start = beginning.start()
    rest = text[start:] if beginning["quote"] == '"' else unescape(text[start:])
    try:
        _, end = _decoder.raw_decode(rest)
    except (ValueError, RecursionError):
        return None
    return rest[:end].encode("utf-8", "surrogateescape"), start


def unescape(text: str) -> str:
    """Take back what a log did to a body."""
    return _ESCAPE.sub(_meant, text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _meant(escape: re.Match[bytes]) -> bytes:
    number, code, control, itself = escape.groups()
    if number is not None:
        return bytes([int(number, 16)])
    if code is not None:
        return chr(int(code, 16)).encode()
    return _CONTROL[control] if control is not None else itself
