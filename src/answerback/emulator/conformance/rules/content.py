"""Rules about what a callback says: its kinds, its fields and their forms."""

from answerback.domain.failure_reasons import FAILURE_REASONS, UNSPECIFIED_REASON
from answerback.emulator.conformance import fixes
from answerback.emulator.conformance.requests import EXAMPLE, escaped, ints, pretty
from answerback.emulator.conformance.scenarios import Rule, extra_fields, taken, unanswered_with
from answerback.i18n import Text

_UNLISTED_CODES = (14, 21, 99)


def _both(label: str) -> Text:
    """A label that is a field of the contract, and needs no translation."""
    return Text(label, label)


KINDS = (
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

_NO_VALUE: tuple[tuple[str, object, str, str], ...] = (
    ("missing", ..., "{} is missing", "没有 {}"),
    ("empty", "", '{} is ""', '{} 为 ""'),
    ("zero", "0", '{} is "0"', '{} 为 "0"'),
    ("null", None, "{} is null", "{} 为 null"),
    ("int", 0, "{} is the number 0", "{} 为数字 0"),
)
"""How a field that has no value may be sent: the end of the rule's id, what is sent, and that in words."""

_UNANSWERED = [
    Rule(
        f"{field.replace('_', '-')}-{form}",
        f"not answered: {en.format(field)}",
        f"未接听：{zh.format(field)}",
        fixes.UNANSWERED,
        unanswered_with(**{field: value}),
    )
    for field in ("accept_time", "fee")
    for form, value, en, zh in _NO_VALUE
]

FORMS = (
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
    *_UNANSWERED,
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
