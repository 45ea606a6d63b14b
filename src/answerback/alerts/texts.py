"""What is measured, in English and Chinese."""

from answerback.i18n import Text

HEADINGS = {
    "answer_rate": Text("low answer rate", "接通率过低"),
    "failures": Text("many failed calls", "失败通话过多"),
    "endpoint": Text("an endpoint has problems", "端点异常"),
    "quarantine": Text("callbacks were quarantined", "有请求体进入隔离区"),
    "fees": Text("fee mismatches", "计费不符"),
    "overdue": Text("calls are overdue", "通话逾期"),
    "recorder_lag": Text("the ledger is behind", "账本落后"),
}
"""What each rule warns of, by `metric`."""

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


def format_duration(seconds: float) -> Text:
    """How long, in the largest unit that leaves nothing worth saying out: `90 s`, `3 h`."""
    for unit_s, en, zh in ((_DAY_S, "d", "天"), (_HOUR_S, "h", "小时"), (_MINUTE_S, "min", "分钟")):
        if seconds >= 2 * unit_s or seconds == unit_s:
            return Text(f"{_number(seconds / unit_s)} {en}", f"{_number(seconds / unit_s)} {zh}")
    return Text(f"{_number(seconds)} s", f"{_number(seconds)} 秒")


def format_percent(share: float) -> str:
    """A share of one as `41.5%`."""
    return f"{_number(share * 100)}%"


def format_count(number: int, limit: int) -> Text:
    """A number that was counted up to `limit`."""
    if number < limit:
        return Text(f"{number:,}", f"{number:,}")
    return Text(f"at least {number:,}", f"至少 {number:,}")


def format_codes(codes: tuple[int, ...]) -> Text:
    listed = ", ".join(map(str, codes))
    return Text(f"code {listed}" if len(codes) == 1 else f"one of the codes {listed}", f"失败码 {listed}")


def _number(value: float) -> str:
    """With one digit behind the point, where it is not nought."""
    return f"{value:.1f}".removesuffix(".0")
