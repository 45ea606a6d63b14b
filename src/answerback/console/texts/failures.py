"""The texts of Failures."""

from collections.abc import Mapping

from answerback.i18n import Text

TEXTS: Mapping[str, Text] = {
    "failures_lead": Text("Why calls fail.", "通话失败的原因。"),
    "export_failed": Text("Export failed calls", "导出失败通话"),
    "of_completed": Text("%s of calls with an outcome", "占已有结果通话的 %s"),
    "of_all_calls": Text("of %s calls", "共 %s 通通话"),
    "failed_before": Text("Failed in the previous period", "上一周期失败"),
    "none_before": Text("no calls with an outcome then", "上一周期没有已有结果的通话"),
    "with_cause": Text("Calls with a failure code", "带失败码的通话"),
    "distinct_causes": Text("distinct codes: %s", "%s 种失败码"),
    "misses_hours": Text("Unanswered and failed by hour", "每小时未接听与失败"),
    "misses_days": Text("Unanswered and failed by day", "每日未接听与失败"),
    "misses_label": Text(
        "Bar chart of %s unanswered and failed calls over time; the table below has the numbers",
        "%s 通未接听与失败通话随时间分布的柱状图，数据见下方表格",
    ),
    "no_misses": Text("Every call was answered", "全部通话均已接听"),
    "no_misses_hint": Text("No call in this range failed or went unanswered.", "该时间范围内没有失败或未接听的通话。"),
    "causes": Text("Reasons", "原因"),
    "causes_hint": Text("Click a reason to see its calls.", "点击查看对应的通话。"),
    "no_causes_hint": Text(
        "The vendor sends a code for a call that it could not deliver; none came in this range.",
        "通话无法送达时厂商会给出失败码，该时间范围内没有收到。",
    ),
    "code": Text("Code", "失败码"),
    "change": Text("vs previous period", "较上一周期"),
    "new_cause": Text("new", "新出现"),
}
