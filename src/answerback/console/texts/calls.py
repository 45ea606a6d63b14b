"""The texts of Calls."""

from collections.abc import Mapping

from answerback.i18n import Text

TEXTS: Mapping[str, Text] = {
    "calls_lead": Text("Newest first.", "按时间倒序。"),
    "calls_find": Text("Find a call", "查找通话"),
    "calls_find_hint": Text("callid, reference or number", "callid、业务编号或号码"),
    "calls_find_hint_masked": Text("callid or reference", "callid 或业务编号"),
    "calls_find_go": Text("Find", "查找"),
    "calls_filters": Text("Filters", "筛选条件"),
    "calls_number_hint": Text("as received", "与收到的一致"),
    "calls_any_time": Text("Any time", "不限时间"),
    "calls_ring": Text("Ring", "振铃时长"),
    "calls_talk": Text("Talk", "通话时长"),
    "calls_pressed": Text("Keys", "按键"),
    "calls_overdue": Text("overdue", "已逾期"),
    "calls_revised": Text("revised", "有修订"),
    "calls_export_hint": Text("All matching calls, numbers masked:", "全部符合条件的通话，号码已脱敏："),
    "calls_export_full": Text("With full numbers, recorded in the audit log:", "含完整号码（会记入审计日志）："),
    "calls_none": Text("No calls yet", "还没有通话"),
    "calls_none_hint": Text(
        "Paste this callback URL into the voice application in the cloud console; the next call shows up here.",
        "请将此回调 URL 填入云控制台的语音应用，之后的通话会显示在这里。",
    ),
    "calls_none_match": Text("No call matches", "没有符合条件的通话"),
    "calls_none_match_hint": Text(
        "Relax a filter: a longer range, another outcome. Numbers match only exactly as received.",
        "请放宽条件，例如更长的时间范围或其他结果。号码须与收到的完全一致。",
    ),
    "calls_none_found": Text("Nothing found for “%s”", "找不到“%s”"),
    "calls_none_found_hint": Text(
        "It is not a callid, a reference, or a number as received. Only exact matches are found.",
        "没有与之完全一致的 callid、业务编号或号码。",
    ),
    "calls_all": Text("All calls", "全部通话"),
    "calls_invalid_code": Text("A failure code is a whole number.", "失败码应为整数。"),
}
