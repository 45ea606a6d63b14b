"""The texts of Fees."""

from collections.abc import Mapping

from answerback.i18n import Text

TEXTS: Mapping[str, Text] = {
    "fees_lead": Text(
        "Billed minutes against the minutes due by talk time.", "将计费分钟与按通话时长应计的分钟相核对。"
    ),
    "minutes_due": Text("Minutes due", "应计分钟"),
    "minutes_due_hint": Text("by the rule", "按规则计算"),
    "minutes_excess": Text("Difference", "差额"),
    "calls_differing": Text("Fee mismatches", "计费不符的通话"),
    "of_answered": Text("%s of answered calls", "占已接听通话的 %s"),
    "fee_rule": Text("Billing rule", "计费规则"),
    "fee_rule_begun": Text(
        "Every started minute of talk time counts as a full minute; the minimum is one minute.",
        "不足一分钟按一分钟计，最短计一分钟。",
    ),
    "fee_rule_free": Text("Unanswered and failed calls are free.", "未接听或失败的通话不计费。"),
    "fee_rule_unknown": Text(
        "Calls without times or without a fee cannot be checked and are left out.",
        "缺少时间或费用的通话无法核对，不计入。",
    ),
    "fee_rule_source": Text(
        "According to the vendor's billing page. The fee is that of the status callback.",
        "依据厂商计费说明；费用以状态回调为准。",
    ),
    "newest_first": Text("Newest first", "最新在前"),
    "billed": Text("Billed", "已计"),
    "due": Text("Due", "应计"),
    "difference": Text("Difference", "差额"),
    "fees_agree_all": Text("All fees match", "计费全部相符"),
    "fees_agree_hint": Text(
        "No call in this range was billed more or less than the rule says.", "该时间范围内没有多计或少计的通话。"
    ),
}
