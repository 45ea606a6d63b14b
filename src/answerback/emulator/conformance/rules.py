"""The rules: what a receiver is sent, in which order, and what it is to answer.

Source: the four callback pages of product 1128; where nobody documents a form or an order, a receiver takes each.
"""

from collections.abc import Sequence

from answerback.domain.failure_reasons import FAILURE_REASONS, UNSPECIFIED_REASON
from answerback.emulator.conformance import fixes
from answerback.emulator.conformance.evaluation import Expected
from answerback.emulator.conformance.requests import EXAMPLE, Request, Transport, escaped, ints, pretty
from answerback.emulator.conformance.scenarios import (
    Rule,
    SendMode,
    Step,
    dropped,
    extra_fields,
    huge,
    ill_typed,
    key_then_status,
    not_json,
    not_object,
    numbered,
    of_one_call,
    only,
    refused,
    taken,
    typed,
    unanswered_with,
    unknown_key,
)
from answerback.i18n import Text

_BURST = 50
_AT_ONCE = 8
_ON_ONE_CONNECTION = 5
_UNLISTED_CODES = (14, 21, 99)


def _both(label: str) -> Text:
    """A label that is a field of the contract, and needs no translation."""
    return Text(label, label)


_KINDS = (
    Rule("status-answered", "status: answered", "状态：接听", fixes.KINDS, lambda calls: [taken(calls.status())]),
    Rule(
        "status-unanswered",
        "status: not answered",
        "状态：未接听",
        fixes.RESULTS,
        lambda calls: [taken(calls.unanswered())],
    ),
    Rule(
        "status-error",
        "status: call error",
        "状态：呼叫异常",
        fixes.RESULTS,
        lambda calls: [taken(calls.unanswered(result="2"))],
    ),
    Rule(
        "code-status",
        "status of a verification code: answered, not answered, call error",
        "语音验证码的状态：接听、未接听、呼叫异常",
        fixes.KINDS,
        lambda calls: [taken(calls.code(result=r), _both(f"result {r}")) for r in "012"],
    ),
    Rule(
        "key-press",
        "key press: 1, 0, * and #",
        "按键：1、0、* 与 #",
        fixes.KINDS,
        lambda calls: [taken(calls.key_press(keypress=key), Text(f"key {key}", f"按键 {key}")) for key in "10*#"],
    ),
    Rule("failure", "failure reason", "失败原因", fixes.KINDS, lambda calls: [taken(calls.failure())]),
    Rule(
        "failure-listed",
        "every listed failure code with its reason",
        "每个已列出的失败码及其原因",
        fixes.REASON,
        lambda calls: [
            taken(calls.failure(failure_code=code, failure_reason=reason.zh), _both(f"failure_code {code}"))
            for code, reason in FAILURE_REASONS.items()
        ],
    ),
    Rule(
        "failure-other-text",
        "failure code 11 with 其他 where the table says 其他原因",
        "失败码 11，文字为“其他”而非表中的“其他原因”",
        fixes.REASON,
        lambda calls: [taken(calls.failure(failure_code=UNSPECIFIED_REASON, failure_reason="其他"))],
    ),
    Rule(
        "failure-unlisted",
        "failure codes that are not listed: 14, 21, 99",
        "未列出的失败码：14、21、99",
        fixes.REASON,
        lambda calls: [
            taken(calls.failure(failure_code=code, failure_reason="未知"), _both(f"failure_code {code}"))
            for code in _UNLISTED_CODES
        ],
    ),
)

_FORMS = (
    Rule(
        "example",
        "the documentation's own example: mobile 13xxxxxxxxx, empty call_from",
        "官方文档的示例原文：mobile 为 13xxxxxxxxx，call_from 为空",
        fixes.EXAMPLE,
        lambda _: [taken(EXAMPLE)],
    ),
    Rule("json-pretty", "JSON over many lines", "多行 JSON", fixes.JSON, lambda calls: [taken(pretty(calls.status()))]),
    Rule("json-compact", "JSON without white space", "紧凑 JSON", fixes.JSON, lambda calls: [taken(calls.status())]),
    Rule(
        "json-escaped",
        r"letters as \u escapes",
        r"字符写作 \u 转义",
        fixes.JSON,
        lambda calls: [taken(escaped(calls.status()))],
    ),
    Rule(
        "accept-time-missing",
        "not answered: accept_time is missing",
        "未接听：没有 accept_time",
        fixes.UNANSWERED,
        lambda calls: [taken(calls.unanswered(accept_time=...))],
    ),
    Rule(
        "accept-time-empty",
        'not answered: accept_time is ""',
        '未接听：accept_time 为 ""',
        fixes.UNANSWERED,
        unanswered_with(accept_time=""),
    ),
    Rule(
        "accept-time-zero",
        'not answered: accept_time is "0"',
        '未接听：accept_time 为 "0"',
        fixes.UNANSWERED,
        unanswered_with(accept_time="0"),
    ),
    Rule(
        "accept-time-null",
        "not answered: accept_time is null",
        "未接听：accept_time 为 null",
        fixes.UNANSWERED,
        unanswered_with(accept_time=None),
    ),
    Rule(
        "accept-time-int",
        "not answered: accept_time is the number 0",
        "未接听：accept_time 为数字 0",
        fixes.UNANSWERED,
        unanswered_with(accept_time=0),
    ),
    Rule(
        "fee-missing",
        "not answered: fee is missing",
        "未接听：没有 fee",
        fixes.UNANSWERED,
        lambda calls: [taken(calls.unanswered(fee=...))],
    ),
    Rule("fee-empty", 'not answered: fee is ""', '未接听：fee 为 ""', fixes.UNANSWERED, unanswered_with(fee="")),
    Rule("fee-zero", 'not answered: fee is "0"', '未接听：fee 为 "0"', fixes.UNANSWERED, unanswered_with(fee="0")),
    Rule("fee-null", "not answered: fee is null", "未接听：fee 为 null", fixes.UNANSWERED, unanswered_with(fee=None)),
    Rule(
        "fee-int", "not answered: fee is the number 0", "未接听：fee 为数字 0", fixes.UNANSWERED, unanswered_with(fee=0)
    ),
    Rule(
        "ints-status",
        "status: integers where strings are documented",
        "状态：应为字符串处是整数",
        fixes.NUMBERS,
        lambda calls: [
            taken(ints(calls.status()), Text("answered", "接听")),
            taken(ints(calls.unanswered()), Text("not answered", "未接听")),
        ],
    ),
    Rule(
        "ints-key-press",
        "key press: integers where strings are documented",
        "按键：应为字符串处是整数",
        fixes.NUMBERS,
        lambda calls: [taken(ints(calls.key_press()))],
    ),
    Rule(
        "ints-failure",
        "failure reason: integers where strings are documented",
        "失败原因：应为字符串处是整数",
        fixes.NUMBERS,
        lambda calls: [taken(ints(calls.failure()))],
    ),
    Rule(
        "extra-status",
        "status: fields that the contract does not know",
        "状态：约定之外的字段",
        fixes.EXTRA,
        extra_fields,
    ),
    Rule(
        "extra-key-press",
        "key press: a field that the contract does not know",
        "按键：约定之外的字段",
        fixes.EXTRA,
        lambda calls: [taken(calls.key_press(ext=""))],
    ),
    Rule(
        "extra-failure",
        "failure reason: a field that the contract does not know",
        "失败原因：约定之外的字段",
        fixes.EXTRA,
        lambda calls: [taken(calls.failure(more={"b": "c"}))],
    ),
    Rule("callid-uuid", "callid is a UUIDv1", "callid 为 UUIDv1", fixes.CALLID, lambda calls: [taken(calls.status())]),
    Rule(
        "callid-hex",
        "callid is 32 hex digits",
        "callid 为 32 位十六进制",
        fixes.CALLID,
        lambda calls: [taken(calls.status(calls.new().replace("-", "")))],
    ),
)

_TRANSPORT = (
    Rule(
        "type-json-charset",
        "Content-Type: application/json; charset=utf-8",
        "Content-Type: application/json; charset=utf-8",
        fixes.MEDIA_TYPE,
        typed("application/json; charset=utf-8"),
    ),
    Rule(
        "type-form",
        "Content-Type: application/x-www-form-urlencoded, the body is JSON",
        "Content-Type: application/x-www-form-urlencoded，内容为 JSON",
        fixes.MEDIA_TYPE,
        typed("application/x-www-form-urlencoded"),
    ),
    Rule(
        "type-text",
        "Content-Type: text/plain, the body is JSON",
        "Content-Type: text/plain，内容为 JSON",
        fixes.MEDIA_TYPE,
        typed("text/plain"),
    ),
    Rule(
        "type-other",
        "Content-Type: application/octet-stream, the body is JSON",
        "Content-Type: application/octet-stream，内容为 JSON",
        fixes.MEDIA_TYPE,
        typed("application/octet-stream"),
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

_ORDER = (
    Rule(
        "status-then-failure",
        "a call's status, then its failure",
        "同一呼叫先状态后失败原因",
        fixes.ORDER,
        of_one_call(lambda calls, callid: (calls.unanswered(callid), calls.failure(callid))),
    ),
    Rule(
        "failure-then-status",
        "a call's failure, then its status",
        "同一呼叫先失败原因后状态",
        fixes.ORDER,
        of_one_call(lambda calls, callid: (calls.failure(callid), calls.unanswered(callid))),
    ),
    Rule(
        "status-with-failure",
        "a call's status and failure at the same time",
        "同一呼叫的状态与失败原因同时到达",
        fixes.ORDER,
        of_one_call(lambda calls, callid: (calls.unanswered(callid), calls.failure(callid))),
        SendMode.AT_ONCE,
    ),
    Rule(
        "key-before-status",
        "a call's key presses before its status",
        "按键先于状态到达",
        fixes.ORDER,
        of_one_call(key_then_status),
    ),
    Rule(
        "repeat",
        "the same callback three times",
        "同一回调发送三次",
        fixes.REPEAT,
        lambda calls: [taken(calls.status())] * 3,
    ),
    Rule(
        "repeat-at-once",
        "the same callback 8 times at the same time",
        "同一回调同时发送 8 次",
        fixes.REPEAT,
        lambda calls: [taken(calls.status())] * _AT_ONCE,
        SendMode.AT_ONCE,
    ),
    Rule(
        "revision",
        "the same callid with other content",
        "callid 相同而内容不同",
        fixes.REVISION,
        of_one_call(
            lambda calls, callid: (calls.unanswered(callid), calls.status(callid), calls.status(callid, fee="2"))
        ),
    ),
    Rule(
        "burst",
        "50 callbacks at the same time",
        "50 个回调同时到达",
        fixes.BURST,
        lambda calls: [taken(calls.status(), numbered(n)) for n in range(1, _BURST + 1)],
        SendMode.AT_ONCE,
    ),
)

_MISTAKES = (
    Rule("not-json", "a body that is not JSON", "请求体不是 JSON", fixes.REFUSAL, not_json),
    Rule("body-empty", "an empty body", "空请求体", fixes.REFUSAL, only(b"")),
    Rule(
        "json-no-object",
        "JSON that is no object, e.g. an array",
        "JSON 但不是对象（如数组）",
        fixes.REFUSAL,
        not_object,
    ),
    Rule("key-unknown", "none of the four callback keys", "不含四个回调键中的任何一个", fixes.REFUSAL, unknown_key),
    Rule(
        "callid-missing",
        "callid is missing",
        "没有 callid",
        fixes.REFUSAL,
        lambda calls: [
            refused(calls.status(...), Text("status", "状态")),
            refused(calls.failure(...), Text("failure", "失败原因")),
        ],
    ),
    Rule("field-ill-typed", "fields of another type", "字段类型错误", fixes.REFUSAL, ill_typed),
    Rule(
        "method-get",
        "GET in place of POST",
        "用 GET 代替 POST",
        fixes.POST,
        lambda _: [Step(Request(b"", None, method="GET"), Expected.NOT_TAKEN)],
    ),
    Rule("body-huge", "a body of 2 MiB, then a callback", "2 MiB 的请求体，随后一个回调", fixes.SIZE, huge),
    Rule(
        "connection-dropped",
        "connections dropped half-way, then the same callback and another",
        "传到一半断开连接，随后重发该回调并发送另一个",
        fixes.DROPPED,
        dropped,
    ),
)

RULES: Sequence[Rule] = (*_KINDS, *_FORMS, *_TRANSPORT, *_ORDER, *_MISTAKES)
"""Every rule, in the order in which they are checked."""
