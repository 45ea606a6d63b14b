"""How much of a request is read."""

from collections.abc import Callable

MAX_READ_BYTES = 8 * 1024 * 1024
"""Of a body that is too large so much is read, so that its sender gets to read the response."""

_CHUNK_BYTES = 65_536


def read_body(read: Callable[[int], bytes], max_bytes: int) -> bytes:
    """The body that `read(size)` gives piece by piece, or its first `max_bytes`."""
    body, read_bytes = b"", 0
    while read_bytes < MAX_READ_BYTES and (chunk := read(_CHUNK_BYTES)):
        read_bytes += len(chunk)
        body += chunk[: max_bytes - len(body)]
    return body
