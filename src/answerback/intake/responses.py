"""The answers to a callback, as bytes on the wire. docs/answers.md lists them."""

from typing import NamedTuple

from answerback.errors import LedgerUnavailable
from answerback.tencent.codes import ResponseCode
from answerback.tencent.response import encode_response

RETRY_AFTER_S = 1

_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    404: b"Not Found",
    405: b"Method Not Allowed",
    413: b"Content Too Large",
    503: b"Service Unavailable",
}


class Response(NamedTuple):
    """An answer by the contract; `fields` are the header lines that are its own, `closes` whether the connection ends."""

    status: int
    result: int
    errmsg: str
    fields: bytes = b""
    closes: bool = False

    def encode(self, default_headers: list[tuple[bytes, bytes]], *, closes: bool, is_head: bool) -> bytes:
        """The bytes of the whole answer; without the body where the request was HEAD."""
        body = encode_response(self.result, self.errmsg)
        default_fields = b"".join(b"%b: %b\r\n" % field for field in default_headers)
        connection = b"connection: close\r\n" if closes else b""
        head = b"HTTP/1.1 %d %b\r\n%bcontent-type: application/json\r\ncontent-length: %d\r\n%b%b\r\n" % (
            self.status,
            _REASONS[self.status],
            default_fields,
            len(body),
            self.fields,
            connection,
        )
        return head if is_head else head + body


OK = Response(200, ResponseCode.OK, "OK")
UNKNOWN_CHANNEL = Response(404, ResponseCode.UNKNOWN_CHANNEL, "no channel has this callback URL")
WRONG_METHOD = Response(405, ResponseCode.WRONG_METHOD, "a callback is POSTed", b"allow: POST\r\n")
ROLE_DISABLED = Response(
    503, ResponseCode.UNAVAILABLE, "this process takes no callbacks (server.roles): send it to one that does"
)


def too_large(limit_bytes: int, *, closes: bool) -> Response:
    """The answer to a body over the limit."""
    return Response(413, ResponseCode.TOO_LARGE, f"the body is larger than {limit_bytes} bytes", closes=closes)


def unavailable(error: LedgerUnavailable) -> Response:
    """The answer where it is not known to be stored."""
    return Response(
        503,
        ResponseCode.UNAVAILABLE,
        f"not known to be stored, try again: {error}",
        b"retry-after: %d\r\n" % RETRY_AFTER_S,
    )
