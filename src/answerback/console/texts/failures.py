"""The texts of Failures."""

from collections.abc import Mapping

from answerback.i18n import Text

TEXTS: Mapping[str, Text] = {
    "failures_lead": Text("Why calls do not reach anybody.", "通话未能送达的原因。"),
    "export_failed": Text("Export failed calls", "导出失败通话"),
    "of_settled": Text("%s of settled calls", "占已有结果通话的 %s"),
    "of_all_calls": Text("of %s calls", "共 %s 通通话"),
    "failed_before": Text("Failed in the period before", "上一周期失败"),
    "none_before": Text("no call was settled then", "上一周期没有已有结果的通话"),
    "with_cause": Text("Calls with a failure code", "带原因码的通话"),
    "distinct_causes": Text("distinct codes: %s", "%s 种原因码"),
    "misses_hours": Text("Unanswered and failed by hour", "每小时未接听与失败"),
    "misses_days": Text("Unanswered and failed by day", "每日未接听与失败"),
    "misses_label": Text(
        "Bar chart of %s unanswered and failed calls over time; the table below has the numbers",
        "%s 通未接听与失败通话随时间分布的柱状图，数据见下方表格",
    ),
    "no_misses": Text("Every call was answered", "全部通话均已接听"),
    "no_misses_hint": Text("No call of this range failed or rang out.", "该时间范围内没有失败或未接听的通话。"),
    "causes": Text("Reasons", "原因"),
    "causes_hint": Text("Each leads to its calls.", "点击查看对应的通话。"),
    "no_causes_hint": Text(
        "The cloud tells a code for a call that it could not deliver; none came in this range.",
        "通话无法送达时云端会给出原因码，该时间范围内没有收到。",
    ),
    "code": Text("Code", "原因码"),
    "change": Text("vs period before", "较上一周期"),
    "new_cause": Text("new", "新出现"),
}
