r"""The body of a callback within a line of text, however the log has escaped it; pure.

nginx writes `"` as `\x22` and what is not ASCII as `\xHH` (escape=default), or escapes as JSON does (escape=json); Apache
writes `\"`, `\\`, `\n` and `\xhh`. Sources: nginx, ngx_http_log_module, log_format; Apache, mod_log_config.
"""

import json
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

from answerback.tencent.callbacks import CALLBACK_KEYS

_SPACE = r"(?:\s|\\x0[9ad]|\\[nrt]|\\u000[9ad])*"
_BEGINNING = re.compile(
    rf'\{{{_SPACE}(?P<quote>"|\\"|\\x22|\\u0022)(?:{"|".join(CALLBACK_KEYS)})(?P=quote)', re.IGNORECASE
)
_ESCAPE = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|u00([0-9A-Fa-f]{2})|([nrtbf])|(["\\/]))')
_CONTROL = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}

_LONGEST_BEGINNING = 256
_LONGEST = 4 * 64 * 1024  # a body of the largest size, escaped byte by byte

_decoder = json.JSONDecoder()


class EmbeddedBody(NamedTuple):
    """A callback in a text: where it begins, and its bytes, or None where it is not whole."""

    start: int
    raw: bytes | None


def find_bodies(text: str) -> Iterator[EmbeddedBody]:
    """Every callback that begins in `text`."""
    beginnings = list(_BEGINNING.finditer(text))
    end = 0
    for beginning, following in zip_longest(beginnings, beginnings[1:]):
        start = beginning.start()
        if start < end:
            continue  # within the one before
        try:
            if beginning["quote"] == '"':
                _, end = _decoder.raw_decode(text, start)
                body = text[start:end]
            else:
                rest = unescape(text[start : following.start() if following else None])
                _, length = _decoder.raw_decode(rest)
                body = rest[:length]
        except (ValueError, RecursionError):
            yield EmbeddedBody(start, None)
        else:
            yield EmbeddedBody(start, to_bytes(body))


def find_cut(text: str) -> int:
    """Where `text` can be cut: before its last callback, which may go on beyond it, else a little before the end."""
    last = None
    for last in find_bodies(text):  # noqa: B007  # the last one
        pass
    is_near = last is not None and (last.raw is None or len(text) - last.start < _LONGEST)
    return last.start if last is not None and is_near else max(0, len(text) - _LONGEST_BEGINNING)


def to_bytes(text: str) -> bytes:
    """UTF-8, with the bytes that were none as they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a surrogate pair, from an escape of JSON's
        return text.encode("utf-8", "surrogatepass")


def unescape(text: str) -> str:
    """Take back what a log did to a body."""
    return _ESCAPE.sub(_unescape_match, text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _unescape_match(escape: re.Match[bytes]) -> bytes:
    number, code, control, itself = escape.groups()
    if number is not None:
        return bytes([int(number, 16)])
    if code is not None:
        return chr(int(code, 16)).encode()
    return _CONTROL[control] if control is not None else itself
