"""The headers that an endpoint adds to its requests. Their values are secrets: they are written, and never read back; pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "…"
"""What is shown in place of a value. Given as a value, it keeps the one that is there."""

MAX_HEADERS = 20
MAX_HEADERS_BYTES = 8_192

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
"""A field name, RFC 9110 section 5.1."""
_VALUE = re.compile(r"[!-~](?:[ -~]{0,4094}[!-~])?")
_RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""What the gateway or its HTTP client says of the request; another value would break or falsify it."""
_RESERVED_PREFIXES = ("webhook-", "proxy-")


def check_headers(headers: Mapping[str, str]) -> str | None:
    """Return what is wrong with an endpoint's headers, or None; no value is repeated."""
    if len(headers) > MAX_HEADERS or sum(map(len, (*headers, *headers.values()))) > MAX_HEADERS_BYTES:
        return f"more than {MAX_HEADERS} headers, or than {MAX_HEADERS_BYTES} bytes of them"
    if len({name.lower() for name in headers}) < len(headers):
        return "a header is there twice: upper and lower case are the same"
    return next(filter(None, (_check_header(name, value) for name, value in headers.items())), None)


def _check_header(name: str, value: str) -> str | None:
    if not _TOKEN.fullmatch(name):  # it may be a value that has lost its name, so it is not repeated
        return "the name of a header is 1 to 128 letters, digits and -"
    if name.lower() in _RESERVED or name.lower().startswith(_RESERVED_PREFIXES):
        return f"{name} is set by the gateway"
    if value == HIDDEN:
        return f"{name} needs its value: there is none to keep, or another host or proxy would get it"
    if not _VALUE.fullmatch(value):
        return f"the value of {name} is 1 to 4096 printable ASCII characters, without spaces around"
    return None


def parse_header_lines(lines: Iterable[str]) -> dict[str, str]:
    """Headers written one a line, as `name: value`; one that is there twice keeps its last value."""
    split = (line.partition(":") for line in lines if line.strip())
    return {name.strip(): value.strip() for name, _, value in split}


def hide_values(headers: Mapping[str, str]) -> dict[str, str]:
    """The names, with HIDDEN for each value."""
    return dict.fromkeys(headers, HIDDEN)


def keep_values(headers: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """`headers`, with the known value of the same name in place of HIDDEN."""
    by_name = {name.lower(): value for name, value in known.items()}
    return {name: by_name.get(name.lower(), value) if value == HIDDEN else value for name, value in headers.items()}
