"""How much of what comes is kept in memory, whoever sends it."""

from collections.abc import Iterator
from typing import NamedTuple

import httpx2

from answerback.client.errors import UnexpectedResponse

_MIB = 1024 * 1024
_MAX_ANSWER_MIB = 32
_MAX_LINE_MIB = 8
_MAX_ERROR_BYTES = 65_536


class BoundedAnswer(NamedTuple):
    """A response and its body, which stays empty where it is a stream."""

    response: httpx2.Response
    body: bytearray

    @property
    def is_compressed(self) -> bool:
        """Whether it is, though nobody asked for it: how much it is in truth is not known then."""
        return self.response.headers.get("Content-Encoding", "identity") != "identity"

    @property
    def can_be_streamed(self) -> bool:
        """Whether there is something in it for whoever asked for a stream."""
        return self.response.is_success and not self.is_compressed

    def take(self, chunk: bytes, *, is_late: bool) -> bool:
        """Add a piece of the body; whether more is wanted: of an error the beginning is enough. Raises UnexpectedResponse."""
        if is_late:
            raise httpx2.ReadTimeout("the answer has no end", request=self.response.request)
        if self.is_compressed:
            return False
        self.body.extend(chunk)
        if not self.response.is_success:
            return len(self.body) < _MAX_ERROR_BYTES
        if len(self.body) > _MAX_ANSWER_MIB * _MIB:
            raise UnexpectedResponse(f"the answer has more than {_MAX_ANSWER_MIB} MiB; ask for smaller pages of a list")
        return True


class Lines:
    """The lines of a stream that comes in pieces."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self.rest = bytearray()
        """What has come of a line that has no end yet."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that are whole with `chunk`. Raises UnexpectedResponse."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            line = bytes(self.rest + end)
            self.rest.clear()
            yield line
        self.rest += rest
        if len(self.rest) > _MAX_LINE_MIB * _MIB:
            raise UnexpectedResponse(f"{self._stream} has a line of more than {_MAX_LINE_MIB} MiB")
