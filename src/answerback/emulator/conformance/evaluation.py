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
_MAX_QUOTE = 100


class NoResponse(Enum):
    """Why there is no answer."""

    TIMED_OUT = auto()
    HUNG_UP = auto()
    UNREACHED = auto()
    NOT_HTTP = auto()
    NOT_AWAITED = auto()


class ReceivedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What came back; `status` is None where `no_response` says why. `seconds` count from the request's last byte.

    `reconnected`: the connection that the request was to take had been closed, and it took a new one.
    """

    seconds: float
    status: int | None = None
    content_type: str = ""
    body: bytes = b""
    no_response: NoResponse | None = None
    reconnected: bool = False


class Expectation(Enum):
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


class ConformanceLevel(StrEnum):
    """How bad it is: a failure breaks a must of the contract, a warning a should."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Deviation(NamedTuple):
    """What was seen; `fix` is None where the rule's own says what to do."""

    level: ConformanceLevel
    seen: Text
    fix: Text | None = None


class _ContractResponse(NamedTuple):
    """The contract's answer as far as there is one; `problem` says how it is not as it should be."""

    result: float | None
    errmsg: str
    problem: Text | None


def find_problems(expected: Expectation, response: ReceivedResponse, timeout_s: float) -> list[Deviation]:
    """What is wrong with `response`; nothing where it is as it should be."""
    if expected is Expectation.NOTHING:
        return []
    if response.status is None:
        return [_describe_silence(expected, response, timeout_s)]
    contract = _read(response.body)
    by_expectation = {
        Expectation.TAKEN: _check_taken,
        Expectation.REFUSED: _check_refused,
        Expectation.NOT_TAKEN: _not_taken,
        Expectation.BOUNDED: _check_bounded,
    }
    return [*by_expectation[expected](response, response.status, contract), *_check_manners(response, contract)]


def excerpt(response: ReceivedResponse) -> Text:
    if response.status is None:
        return Text("no answer", "没有应答")
    contract = _read(response.body)
    parts = [str(response.status)]
    if contract.problem is not None:
        parts.append(quote(response.body.decode("utf-8", "replace")) or "an empty body")
    else:
        parts.append(f"result {contract.result:g}" + (f" {quote(contract.errmsg)}" if contract.result else ""))
    return Text(", ".join([*parts, format_ms(response.seconds)]), "，".join([*parts, format_ms(response.seconds)]))


def quote(text: str) -> str:
    """Somebody's text on one line of bounded length, in quotation marks; nothing for nothing."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    if not line:
        return ""
    return f"“{line[:_MAX_QUOTE]}…”" if len(line) > _MAX_QUOTE else f"“{line}”"


def format_ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _describe_silence(expected: Expectation, answer: ReceivedResponse, timeout_s: float) -> Deviation:
    if answer.no_response is NoResponse.TIMED_OUT:
        seen = Text(f"no answer within {timeout_s:g} s", f"{timeout_s:g} 秒内没有应答")
        return Deviation(ConformanceLevel.FAILED, seen, fixes.SLOW)
    if answer.no_response is NoResponse.UNREACHED:
        return Deviation(ConformanceLevel.FAILED, Text("no connection", "无法建立连接"), fixes.ALIVE)
    if answer.no_response is NoResponse.NOT_HTTP:
        return Deviation(ConformanceLevel.FAILED, Text("the answer is not HTTP", "应答不是 HTTP"), fixes.ANSWER)
    level = ConformanceLevel.WARNING if expected is Expectation.BOUNDED else ConformanceLevel.FAILED
    return Deviation(level, Text("closed the connection without a response", "未应答就断开了连接"))


def _check_taken(answer: ReceivedResponse, status: int, contract: _ContractResponse) -> Iterator[Deviation]:
    if 300 <= status < 400:  # noqa: PLR2004  # HTTP's
        yield Deviation(ConformanceLevel.FAILED, Text(f"{status}, a redirect", f"{status}，被重定向"), fixes.EXACT_URL)
    elif not 200 <= status < 300:  # noqa: PLR2004
        yield Deviation(ConformanceLevel.FAILED, excerpt(answer))
    elif contract.problem is not None:
        yield Deviation(ConformanceLevel.FAILED, _with(contract.problem, excerpt(answer)), fixes.ANSWER)
    elif contract.result != 0:
        yield Deviation(ConformanceLevel.FAILED, excerpt(answer))


def _check_refused(answer: ReceivedResponse, status: int, contract: _ContractResponse) -> Iterator[Deviation]:
    if (finding := _fault(answer, status, contract)) is not None:
        yield finding
    elif contract.problem is not None:
        yield Deviation(ConformanceLevel.FAILED, _with(contract.problem, excerpt(answer)), fixes.REFUSAL)


def _not_taken(answer: ReceivedResponse, status: int, contract: _ContractResponse) -> Iterator[Deviation]:
    if (finding := _fault(answer, status, contract)) is not None:
        yield finding
    elif contract.problem is not None:
        level = ConformanceLevel.WARNING if status >= 400 else ConformanceLevel.FAILED  # noqa: PLR2004
        yield Deviation(level, _with(contract.problem, excerpt(answer)), fixes.REFUSAL)


def _check_bounded(answer: ReceivedResponse, status: int, contract: _ContractResponse) -> Iterator[Deviation]:
    if 200 <= status < 300 and contract.result == 0:  # noqa: PLR2004
        yield Deviation(ConformanceLevel.WARNING, _with(Text("it was accepted", "被接受了"), excerpt(answer)))
    else:
        yield from _not_taken(answer, status, contract)


def _fault(answer: ReceivedResponse, status: int, contract: _ContractResponse) -> Deviation | None:
    """What a mistake of the sender's must never be answered."""
    if status >= 500:  # noqa: PLR2004
        return Deviation(ConformanceLevel.FAILED, excerpt(answer), fixes.SENDERS_FAULT)
    if contract.result == 0:
        return Deviation(
            ConformanceLevel.FAILED, _with(Text("answered that it was accepted", "应答为已接受"), excerpt(answer))
        )
    if 300 <= status < 400:  # noqa: PLR2004
        return Deviation(ConformanceLevel.FAILED, Text(f"{status}, a redirect", f"{status}，被重定向"), fixes.EXACT_URL)
    return None


def _check_manners(answer: ReceivedResponse, contract: _ContractResponse) -> Iterator[Deviation]:
    """What an answer should be besides: quick, and labelled as what it is."""
    if answer.seconds > SLOW_S:
        seen = Text(f"answered after {answer.seconds:.1f} s", f"{answer.seconds:.1f} 秒后才应答")
        yield Deviation(ConformanceLevel.WARNING, seen, fixes.SLOW)
    media_type = answer.content_type.partition(";")[0].strip().lower()
    if contract.problem is None and media_type != "application/json":
        shown = quote(answer.content_type)
        seen = Text(f"Content-Type is {shown or 'missing'}", f"Content-Type 为{shown or '空'}")
        yield Deviation(ConformanceLevel.WARNING, seen, fixes.CONTENT_TYPE)


def _read(body: bytes) -> _ContractResponse:
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _ContractResponse(None, "", Text("the answer is not JSON", "应答不是 JSON"))
    if not isinstance(document, dict):
        return _ContractResponse(None, "", Text("the answer is not a JSON object", "应答不是 JSON 对象"))
    result, errmsg = document.get("result"), document.get("errmsg")
    if isinstance(result, bool) or not isinstance(result, int | float):
        return _ContractResponse(None, "", Text("the answer has no number `result`", "应答中没有数字类型的 result"))
    if not isinstance(errmsg, str):
        return _ContractResponse(result, "", Text("the answer has no string `errmsg`", "应答中没有字符串类型的 errmsg"))
    return _ContractResponse(result, errmsg, None)


def _with(problem: Text, seen: Text) -> Text:
    return Text(f"{problem.en}: {seen.en}", f"{problem.zh}：{seen.zh}")
