"""What the rules are made of: requests with what each is to be answered."""

import json
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

from answerback.emulator.conformance.evaluation import Expectation
from answerback.emulator.conformance.requests import CallbackRequest, CallFactory, Transport, padded
from answerback.i18n import Text

_HUGE_BYTES = 2 * 1024 * 1024

NO_LABEL = Text("", "")


class SendMode(Enum):
    """How the steps of a rule follow each other."""

    IN_ORDER = auto()
    AT_ONCE = auto()
    ONE_CONNECTION = auto()


class RuleStep(NamedTuple):
    """One request, what it is to be answered, and what sets it apart from the rule's others."""

    request: CallbackRequest
    expected: Expectation
    label: Text = NO_LABEL


def taken(
    body: bytes,
    label: Text = NO_LABEL,
    content_type: str | None = "application/json",
    transport: Transport = Transport.WHOLE,
) -> RuleStep:
    """A callback, which is to be taken."""
    return RuleStep(CallbackRequest(body, content_type, transport), Expectation.TAKEN, label)


def refused(body: bytes, label: Text = NO_LABEL, content_type: str | None = "application/json") -> RuleStep:
    """What is no callback, which is to be refused."""
    return RuleStep(CallbackRequest(body, content_type), Expectation.REFUSED, label)


def typed(content_type: str | None) -> Callable[[CallFactory], Sequence[RuleStep]]:
    """A callback under a Content-Type, or without one."""
    return lambda calls: [taken(calls.status(), content_type=content_type)]


def only(body: bytes) -> Callable[[CallFactory], Sequence[RuleStep]]:
    """One body, to be refused, and nothing else."""
    return lambda _: [refused(body)]


def of_one_call(make: Callable[[CallFactory, str], Sequence[bytes]]) -> Callable[[CallFactory], Sequence[RuleStep]]:
    return lambda calls: [taken(body, numbered(number)) for number, body in enumerate(make(calls, calls.new()), 1)]


def numbered(number: int) -> Text:
    """The label of one of several callbacks."""
    return Text(f"callback {number}", f"第 {number} 个回调")


def key_then_status(calls: CallFactory, callid: str) -> Sequence[bytes]:
    return (calls.key_press(callid), calls.key_press(callid, keypress="2"), calls.status(callid))


def unanswered_with(**fields: Any) -> Callable[[CallFactory], Sequence[RuleStep]]:
    """The status of a call that nobody answered, with these fields; ... leaves one out."""
    return lambda calls: [taken(calls.unanswered(**fields))]


def dropped(calls: CallFactory) -> Sequence[RuleStep]:
    """Connections that end at three places of a request, then the request as a whole, and another."""
    body = calls.status()
    cuts = (Transport.CUT_IN_HEAD, Transport.CUT_IN_BODY, Transport.CUT_IN_CHUNK)
    cut = [RuleStep(CallbackRequest(body, transport=way), Expectation.NOTHING) for way in cuts]
    return [
        *cut,
        taken(body, Text("the same, whole", "完整重发")),
        taken(calls.status(), Text("the next", "下一个")),
    ]


def huge(calls: CallFactory) -> Sequence[RuleStep]:
    """A callback far larger than any, then an ordinary one."""
    body = padded(calls.status(), _HUGE_BYTES)
    request = CallbackRequest(body, transport=Transport.PACKETS, packet_bytes=65536)
    return [
        RuleStep(request, Expectation.BOUNDED, Text("2 MiB", "2 MiB")),
        taken(calls.status(), Text("the next", "下一个")),
    ]


def ill_typed(calls: CallFactory) -> Sequence[RuleStep]:
    """JSON with a known key, and fields of another type."""
    return [
        refused(b'{"voiceprompt_callback":"OK"}', Text("a text for the fields", "字段处为文本")),
        refused(b'{"voice_failure_callback":null}', Text("null for the fields", "字段处为 null")),
        refused(calls.status({"id": calls.new()}), Text("callid an object", "callid 为对象")),
        refused(calls.status(result=["0"]), Text("result an array", "result 为数组")),
    ]


def not_json(calls: CallFactory) -> Sequence[RuleStep]:
    """Bodies that no JSON parser takes."""
    return [
        refused(b"voice callback", Text("text", "文本")),
        refused(
            b"result=0&callid=" + calls.new().encode(), Text("a form", "表单"), "application/x-www-form-urlencoded"
        ),
        refused(calls.status()[:-20], Text("JSON that ends too early", "JSON 不完整")),
    ]


def not_object(calls: CallFactory) -> Sequence[RuleStep]:
    """JSON texts that are no object."""
    return [
        refused(b"[%b]" % calls.status(), Text("an array", "数组")),
        refused(b"null", Text("null", "null")),
        refused(b'"OK"', Text("a string", "字符串")),
        refused(b"1", Text("a number", "数字")),
    ]


def unknown_key(calls: CallFactory) -> Sequence[RuleStep]:
    """Objects without a callback key."""
    fields = json.loads(calls.status())["voiceprompt_callback"]
    return [
        refused(calls.status().replace(b"voiceprompt", b"voicemail"), Text("an unknown key", "未知的键")),
        refused(json.dumps(fields).encode(), Text("no key around the fields", "字段外没有键")),
        refused(b"{}", Text("an empty object", "空对象")),
    ]


def extra_fields(calls: CallFactory) -> Sequence[RuleStep]:
    """Statuses with fields that no table lists."""
    around = json.loads(calls.status()) | {"version": 2}
    return [
        taken(calls.status(sdkappid=1400000000, ext=None, more=["a"], carrier="移动"), Text("inside", "对象内")),
        taken(json.dumps(around).encode(), Text("beside the key", "与键并列")),
    ]


class Rule(NamedTuple):
    """One line of the report; `en` and `zh` say what is sent, `steps` makes it."""

    id: str
    en: str
    zh: str
    fix: Text
    steps: Callable[[CallFactory], Sequence[RuleStep]]
    mode: SendMode = SendMode.IN_ORDER

    @property
    def words(self) -> Text:
        """What is sent, in both languages."""
        return Text(self.en, self.zh)
