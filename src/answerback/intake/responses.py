"""The bytes of a response on the wire."""

from answerback.tencent.codes import ResponseCode
from answerback.tencent.response import Response

_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    404: b"Not Found",
    405: b"Method Not Allowed",
    413: b"Content Too Large",
    503: b"Service Unavailable",
}

ROLE_DISABLED = Response(
    503, ResponseCode.UNAVAILABLE, "this process does not accept callbacks (server.roles): send them to one that does"
)


def encode_http(
    response: Response, default_headers: list[tuple[bytes, bytes]], *, closes: bool, is_head: bool
) -> bytes:
    """The bytes of the whole response; without the body where the request was HEAD."""
    body = response.body
    headers = [*default_headers, *((name.encode(), value.encode()) for name, value in response.headers)]
    fields = b"".join(b"%b: %b\r\n" % field for field in headers)
    connection = b"connection: close\r\n" if closes else b""
    head = b"HTTP/1.1 %d %b\r\n%bcontent-length: %d\r\n%b\r\n" % (
        response.status,
        _REASONS[response.status],
        fields,
        len(body),
        connection,
    )
    return head if is_head else head + body
