"""What is measured, in English and Chinese."""

from typing import NamedTuple


class Words(NamedTuple):
    """The same in both languages."""

    en: str
    zh: str


HEADINGS = {
    "answer_rate": Words("too few calls are answered", "接通率过低"),
    "failures": Words("many calls fail", "失败通话过多"),
    "endpoint": Words("an endpoint is in trouble", "端点异常"),
    "quarantine": Words("bodies went to quarantine", "请求体进入隔离区"),
    "fees": Words("fees are not as due", "计费与应计不符"),
    "overdue": Words("calls are overdue", "通话逾期无结果"),
}
"""What each rule warns of, by `when`."""

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


def span(seconds: float) -> Words:
    """How long, in the largest unit that leaves nothing worth saying out: `90 s`, `3 h`."""
    for unit_s, en, zh in ((_DAY_S, "d", "天"), (_HOUR_S, "h", "小时"), (_MINUTE_S, "min", "分钟")):
        if seconds >= 2 * unit_s or seconds == unit_s:
            return Words(f"{_number(seconds / unit_s)} {en}", f"{_number(seconds / unit_s)} {zh}")
    return Words(f"{_number(seconds)} s", f"{_number(seconds)} 秒")


def percent(share: float) -> str:
    """A share of one as `41.5 %`."""
    return f"{_number(share * 100)} %"


def count(number: int, limit: int) -> Words:
    """A number that was counted up to `limit`."""
    if number < limit:
        return Words(f"{number:,}", f"{number:,}")
    return Words(f"at least {number:,}", f"至少 {number:,}")


def codes(wanted: tuple[int, ...]) -> Words:
    """Failure codes."""
    listed = ", ".join(map(str, wanted))
    return Words(f"code {listed}" if len(wanted) == 1 else f"one of the codes {listed}", f"失败码 {listed}")


def _number(value: float) -> str:
    """With one digit behind the point, where it is not nought."""
    return f"{value:.1f}".removesuffix(".0")
