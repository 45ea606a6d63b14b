"""The texts of the Overview, Failures and Fees, and of statistics wherever they are shown."""

from collections.abc import Mapping

from answerback.i18n import Text

TEXTS: Mapping[str, Text] = {
    # Is everything well?
    "status_title": Text("System status", "系统状态"),
    "status_is_good": Text("All systems normal", "一切正常"),
    "status_is_warn": Text("Something needs attention", "有情况需要关注"),
    "status_is_bad": Text("Something is wrong", "出现异常"),
    "status_store": Text("Store ready", "存储正常"),
    "status_no_store": Text("Store unavailable", "存储不可用"),
    "status_recorded": Text("Recorded up to now", "账本已同步"),
    "status_behind": Text("Ledger is behind", "账本落后"),
    "status_stalled": Text("Recording has stalled", "账本无法写入"),
    "status_endpoints": Text("Healthy endpoints", "正常端点"),
    "status_no_endpoints": Text("No endpoints", "暂无端点"),
    "status_waiting": Text("Pending deliveries", "待投递"),
    "status_dead": Text("Dead deliveries", "死信"),
    "status_quarantine": Text("In quarantine", "隔离中"),
    "status_alerts": Text("Alerts", "告警"),
    # Filters.
    "all_channels": Text("All channels", "全部通道"),
    "all_kinds": Text("All kinds", "全部类型"),
    # Numbers.
    "numbers": Text("Numbers", "数据"),
    "answer_rate": Text("Answer rate", "接通率"),
    "than_before": Text("%s vs previous period", "较上一周期 %s"),
    "points": Text("%s pts", "%s 个百分点"),
    "minutes_billed": Text("Billed minutes", "计费分钟"),
    "fees_differ": Text("fee mismatches: %s", "计费不符：%s 通"),
    "fees_agree": Text("all fees match", "计费相符"),
    "talk_time": Text("Talk time", "通话时长"),
    "ring_time": Text("Ring time, median", "振铃时长中位数"),
    "median_and_p90": Text("median %s, p90 %s", "中位数 %s，p90 %s"),
    "p90": Text("p90 %s", "p90 %s"),
    "calls_lower": Text("calls", "通"),
    "repeats": Text("Duplicates", "重复回调"),
    "revisions": Text("Revisions", "修订"),
    "quarantined": Text("Quarantined", "进入隔离区"),
    "overdue": Text("Overdue", "逾期"),
    # Over time.
    "hour": Text("Hour", "小时"),
    "day": Text("Day", "日期"),
    "trend_hours": Text("Calls by hour", "每小时通话量"),
    "trend_days": Text("Calls by day", "每日通话量"),
    "trend_label": Text(
        "Bar chart of %s calls over time, by outcome; the table below has the numbers",
        "%s 通电话随时间按结果分布的柱状图，数据见下方表格",
    ),
    "minutes_hours": Text("Billed minutes by hour", "每小时计费分钟"),
    "minutes_days": Text("Billed minutes by day", "每日计费分钟"),
    "minutes_label": Text("Bar chart of %s billed minutes over time", "%s 计费分钟随时间分布的柱状图"),
    "no_minutes": Text("No minutes were billed.", "没有计费分钟。"),
    "check_fees": Text("Check fees", "核对计费"),
    # By outcome, weekday and hour, kind, channel, carrier, region.
    "shares": Text("Outcomes", "结果分布"),
    "heat": Text("Answer rate by weekday and hour", "按星期和小时的接通率"),
    "heat_hint": Text(
        "In percent. The stronger the color, the higher the answer rate. Cells with fewer than ten calls have no color.",
        "单位为百分比，颜色越深接通率越高；不足十通电话的时段不着色，没有通话的留空。",
    ),
    "weekday_0": Text("Mon", "周一"),
    "weekday_1": Text("Tue", "周二"),
    "weekday_2": Text("Wed", "周三"),
    "weekday_3": Text("Thu", "周四"),
    "weekday_4": Text("Fri", "周五"),
    "weekday_5": Text("Sat", "周六"),
    "weekday_6": Text("Sun", "周日"),
    "by_kind": Text("By kind", "按类型"),
    "by_channel": Text("By channel", "按通道"),
    "by_carrier": Text("By carrier", "按运营商"),
    "by_region": Text("By region", "按地区"),
    "china_elsewhere": Text("China, province unknown", "中国（省份未知）"),
    "created": Text("Created", "创建时间"),
    "name": Text("Name", "名称"),
    # Nothing to see.
    "no_calls": Text("No calls in this range", "该时间范围内没有通话"),
    "no_calls_short": Text("No calls.", "没有通话。"),
    "no_calls_hint": Text(
        "Choose a longer range. Until the first call comes in, the Overview shows the first steps.",
        "请选择更长的时间范围。如果从未收到通话，概览会说明如何开始。",
    ),
    # Why calls failed.
    "top_causes": Text("Why calls fail", "失败原因"),
    "all_causes": Text("All reasons", "全部原因"),
    "no_causes": Text("No failures.", "没有失败原因。"),
    "cause": Text("Reason", "原因"),
    "cause_unlisted": Text("Code not listed by the vendor", "厂商未公布的失败码"),
    # Failures.
    "failures_lead": Text("Why calls fail.", "通话失败的原因。"),
    "export_failed": Text("Export failed calls", "导出失败通话"),
    "of_completed": Text("%s of calls with an outcome", "占已出结果通话的 %s"),
    "of_all_calls": Text("of %s calls", "共 %s 通电话"),
    "failed_before": Text("Failed in the previous period", "上一周期失败"),
    "none_before": Text("no calls with an outcome then", "上一周期没有已出结果的通话"),
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
    "change": Text("vs previous period", "环比"),
    "new_cause": Text("new", "新出现"),
    # Fees.
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
