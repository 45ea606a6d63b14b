"""Rules about how the bytes of a callback go over the wire."""

from answerback.emulator.conformance import fixes
from answerback.emulator.conformance.requests import Transport
from answerback.emulator.conformance.scenarios import Rule, SendMode, numbered, taken, typed

_ON_ONE_CONNECTION = 5
_OTHER_TYPES = {
    "form": "application/x-www-form-urlencoded",
    "text": "text/plain",
    "other": "application/octet-stream",
}

TRANSPORT = (
    Rule(
        "type-json-charset",
        "Content-Type: application/json; charset=utf-8",
        "Content-Type: application/json; charset=utf-8",
        fixes.MEDIA_TYPE,
        typed("application/json; charset=utf-8"),
    ),
    *(
        Rule(
            f"type-{name}",
            f"Content-Type: {media_type}, the body is JSON",
            f"Content-Type: {media_type}，内容为 JSON",
            fixes.MEDIA_TYPE,
            typed(media_type),
        )
        for name, media_type in _OTHER_TYPES.items()
    ),
    Rule("type-none", "no Content-Type", "没有 Content-Type", fixes.MEDIA_TYPE, typed(None)),
    Rule(
        "bom",
        "a UTF-8 byte order mark in front",
        "以 UTF-8 BOM 开头",
        fixes.BOM,
        lambda calls: [taken(b"\xef\xbb\xbf" + calls.status())],
    ),
    Rule(
        "chunked",
        "the body in chunks, without Content-Length",
        "分块传输，没有 Content-Length",
        fixes.WHOLE_BODY,
        lambda calls: [taken(calls.status(), transport=Transport.CHUNKED)],
    ),
    Rule(
        "packets",
        "head and body in packets of 16 bytes",
        "请求头与请求体拆成 16 字节的小包",
        fixes.WHOLE_BODY,
        lambda calls: [taken(calls.status(), transport=Transport.PACKETS)],
    ),
    Rule(
        "keep-alive",
        "5 callbacks, one after the other, on one connection",
        "同一连接上先后 5 个回调",
        fixes.KEEP_ALIVE,
        lambda calls: [taken(calls.status(), numbered(n)) for n in range(1, _ON_ONE_CONNECTION + 1)],
        SendMode.ONE_CONNECTION,
    ),
)
