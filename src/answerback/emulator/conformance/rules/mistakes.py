"""Rules about what is no callback, and must be refused."""

from answerback.emulator.conformance import fixes
from answerback.emulator.conformance.evaluation import Expectation
from answerback.emulator.conformance.requests import CallbackRequest
from answerback.emulator.conformance.scenarios import (
    Rule,
    RuleStep,
    dropped,
    huge,
    ill_typed,
    not_json,
    not_object,
    only,
    refused,
    unknown_key,
)
from answerback.i18n import Text

MISTAKES = (
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
        lambda _: [RuleStep(CallbackRequest(b"", None, method="GET"), Expectation.NOT_TAKEN)],
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
