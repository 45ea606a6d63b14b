"""An answer -> what is wrong with it; pure.

Source: "Voice Notification Status Callback", response parameters, product 1128/37519: `result` is a number, 0 success and
anything else a failure, `errmsg` a string; both are required.
"""

from collections.abc import Iterator
from enum import Enum, StrEnum, auto
from typing import Any, NamedTuple

import msgspec

from answerback.emulator.conformance import fixes
from answerback.i18n import Text

SLOW_S = 1.0
_LONGEST_QUOTE = 100


class Silence(Enum):
    """Why there is no answer."""

    TIMED_OUT = auto()
    HUNG_UP = auto()
    UNREACHED = auto()
    NOT_HTTP = auto()
    NOT_AWAITED = auto()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back; `status` is None where `silence` says why. `seconds` count from the request's last byte.

    `reconnected`: the connection that the request was to take had been closed, and it took a new one.
    """

    seconds: float
    status: int | None = None
    content_type: str = ""
    body: bytes = b""
    silence: Silence | None = None
    reconnected: bool = False


class Expected(Enum):
    """What a request is to be answered.

    TAKEN: it is a callback. REFUSED: it is none, and the answer says so by the contract. NOT_TAKEN: likewise, but the
    server in front may answer in its own words. BOUNDED: a callback that no receiver need take, by its size.
    NOTHING: the connection was dropped.
    """

    TAKEN = auto()
    REFUSED = auto()
    NOT_TAKEN = auto()
    BOUNDED = auto()
    NOTHING = auto()


class Level(StrEnum):
    """How bad it is: a failure breaks a must of the contract, a warning a should."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Finding(NamedTuple):
    """What was seen; `fix` is None where the rule's own says what to do."""

    level: Level
    seen: Text
    fix: Text | None = None


class _Told(NamedTuple):
    """The contract's answer as far as there is one; `problem` says how it is not as it should be."""

    result: float | None
    errmsg: str
    problem: Text | None


def judge(expected: Expected, answer: Answer, timeout_s: float) -> list[Finding]:
    """What is wrong with `answer`; nothing where it is as it should be."""
    if expected is Expected.NOTHING:
        return []
    if answer.status is None:
        return [_silent(expected, answer, timeout_s)]
    told = _read(answer.body)
    by_expectation = {
        Expected.TAKEN: _taken,
        Expected.REFUSED: _refused,
        Expected.NOT_TAKEN: _not_taken,
        Expected.BOUNDED: _bounded,
    }
    return [*by_expectation[expected](answer, answer.status, told), *_manners(answer, told)]


def sight(answer: Answer) -> Text:
    """An answer in a few words."""
    if answer.status is None:
        return Text("no answer", "没有应答")
    told = _read(answer.body)
    parts = [str(answer.status)]
    if told.problem is not None:
        parts.append(quote(answer.body.decode("utf-8", "replace")) or "an empty body")
    else:
        parts.append(f"result {told.result:g}" + (f" {quote(told.errmsg)}" if told.result else ""))
    return Text(", ".join([*parts, ms(answer.seconds)]), "，".join([*parts, ms(answer.seconds)]))


def quote(text: str) -> str:
    """Somebody's text on one line of bounded length, in quotation marks; nothing for nothing."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    if not line:
        return ""
    return f"“{line[:_LONGEST_QUOTE]}…”" if len(line) > _LONGEST_QUOTE else f"“{line}”"


def ms(seconds: float) -> str:
    """A time for reading."""
    return f"{seconds * 1000:.0f} ms"


def _silent(expected: Expected, answer: Answer, timeout_s: float) -> Finding:
    if answer.silence is Silence.TIMED_OUT:
        seen = Text(f"no answer within {timeout_s:g} s", f"{timeout_s:g} 秒内没有应答")
        return Finding(Level.FAILED, seen, fixes.SLOW)
    if answer.silence is Silence.UNREACHED:
        return Finding(Level.FAILED, Text("no connection", "无法建立连接"), fixes.ALIVE)
    if answer.silence is Silence.NOT_HTTP:
        return Finding(Level.FAILED, Text("the answer is not HTTP", "应答不是 HTTP"), fixes.ANSWER)
    level = Level.WARNING if expected is Expected.BOUNDED else Level.FAILED
    return Finding(level, Text("hung up without an answer", "未应答就断开了连接"))


def _taken(answer: Answer, status: int, told: _Told) -> Iterator[Finding]:
    if 300 <= status < 400:  # noqa: PLR2004  # HTTP's
        yield Finding(Level.FAILED, Text(f"{status}, a redirect", f"{status}，被重定向"), fixes.EXACT_URL)
    elif not 200 <= status < 300:  # noqa: PLR2004
        yield Finding(Level.FAILED, sight(answer))
    elif told.problem is not None:
        yield Finding(Level.FAILED, _with(told.problem, sight(answer)), fixes.ANSWER)
    elif told.result != 0:
        yield Finding(Level.FAILED, sight(answer))


def _refused(answer: Answer, status: int, told: _Told) -> Iterator[Finding]:
    if (finding := _fault(answer, status, told)) is not None:
        yield finding
    elif told.problem is not None:
        yield Finding(Level.FAILED, _with(told.problem, sight(answer)), fixes.REFUSAL)


def _not_taken(answer: Answer, status: int, told: _Told) -> Iterator[Finding]:
    if (finding := _fault(answer, status, told)) is not None:
        yield finding
    elif told.problem is not None:
        level = Level.WARNING if status >= 400 else Level.FAILED  # noqa: PLR2004
        yield Finding(level, _with(told.problem, sight(answer)), fixes.REFUSAL)


def _bounded(answer: Answer, status: int, told: _Told) -> Iterator[Finding]:
    if 200 <= status < 300 and told.result == 0:  # noqa: PLR2004
        yield Finding(Level.WARNING, _with(Text("it was taken", "被接受了"), sight(answer)))
    else:
        yield from _not_taken(answer, status, told)


def _fault(answer: Answer, status: int, told: _Told) -> Finding | None:
    """What a mistake of the sender's must never be answered."""
    if status >= 500:  # noqa: PLR2004
        return Finding(Level.FAILED, sight(answer), fixes.SENDERS_FAULT)
    if told.result == 0:
        return Finding(Level.FAILED, _with(Text("told that it was taken", "应答为已接受"), sight(answer)))
    if 300 <= status < 400:  # noqa: PLR2004
        return Finding(Level.FAILED, Text(f"{status}, a redirect", f"{status}，被重定向"), fixes.EXACT_URL)
    return None


def _manners(answer: Answer, told: _Told) -> Iterator[Finding]:
    """What an answer should be besides: quick, and labelled as what it is."""
    if answer.seconds > SLOW_S:
        seen = Text(f"answered after {answer.seconds:.1f} s", f"{answer.seconds:.1f} 秒后才应答")
        yield Finding(Level.WARNING, seen, fixes.SLOW)
    media_type = answer.content_type.partition(";")[0].strip().lower()
    if told.problem is None and media_type != "application/json":
        shown = quote(answer.content_type)
        seen = Text(f"Content-Type is {shown or 'missing'}", f"Content-Type 为{shown or '空'}")
        yield Finding(Level.WARNING, seen, fixes.CONTENT_TYPE)


def _read(body: bytes) -> _Told:
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Told(None, "", Text("the answer is not JSON", "应答不是 JSON"))
    if not isinstance(document, dict):
        return _Told(None, "", Text("the answer is not a JSON object", "应答不是 JSON 对象"))
    result, errmsg = document.get("result"), document.get("errmsg")
    if isinstance(result, bool) or not isinstance(result, int | float):
        return _Told(None, "", Text("the answer has no number `result`", "应答中没有数字类型的 result"))
    if not isinstance(errmsg, str):
        return _Told(result, "", Text("the answer has no string `errmsg`", "应答中没有字符串类型的 errmsg"))
    return _Told(result, errmsg, None)


def _with(problem: Text, seen: Text) -> Text:
    return Text(f"{problem.en}: {seen.en}", f"{problem.zh}：{seen.zh}")
