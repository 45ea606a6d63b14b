"""The texts that every page shares: the frame, the words for outcomes and kinds, units, ranges, refusals."""

from collections.abc import Mapping

from answerback.i18n import Text

TEXTS: Mapping[str, Text] = {
    "product": Text("Answerback", "Answerback"),
    "skip": Text("Skip to content", "跳到正文"),
    "sections": Text("Sections", "栏目"),
    "language": Text("Language", "语言"),
    "theme": Text("Appearance", "外观"),
    "theme_auto": Text("System", "跟随系统"),
    "theme_light": Text("Light", "浅色"),
    "theme_dark": Text("Dark", "深色"),
    "account": Text("Account", "账户"),
    "sign_out": Text("Sign out", "退出登录"),
    "role_viewer": Text("Viewer", "只读"),
    "role_operator": Text("Operator", "运维"),
    "role_admin": Text("Administrator", "管理员"),
    "recorder_behind": Text(
        "The ledger is %s behind: newer callbacks are answered and kept, but not shown yet.",
        "账本落后 %s：更新的回调已应答并保存，但尚未显示。",
    ),
    # The pages.
    "nav_overview": Text("Overview", "概览"),
    "nav_calls": Text("Calls", "通话"),
    "nav_live": Text("Live", "实时"),
    "nav_failures": Text("Failures", "失败分析"),
    "nav_fees": Text("Fees", "计费核对"),
    "nav_endpoints": Text("Endpoints", "端点"),
    "nav_quarantine": Text("Quarantine", "隔离区"),
    "nav_alerts": Text("Alerts", "告警"),
    "nav_settings": Text("Settings", "设置"),
    # What became of calls, and what told of them.
    "outcome": Text("Outcome", "结果"),
    "outcome_answered": Text("Answered", "已接听"),
    "outcome_unanswered": Text("Unanswered", "未接听"),
    "outcome_failed": Text("Failed", "失败"),
    "outcome_pending": Text("Pending", "尚无结果"),
    "kind": Text("Kind", "类型"),
    "kind_prompt": Text("Notification", "语音通知"),
    "kind_code": Text("Verification code", "语音验证码"),
    "kind_key": Text("Key press", "按键"),
    "kind_failure": Text("Failure", "失败原因"),
    "kind_none": Text("Annotated only", "仅标注"),
    "channel": Text("Channel", "通道"),
    "all": Text("All", "全部"),
    "calls": Text("Calls", "通话"),
    "call_id": Text("callid", "callid"),
    "number": Text("Number", "号码"),
    "time": Text("Time", "时间"),
    "unknown": Text("Unknown", "未知"),
    "none": Text("None", "无"),
    "share": Text("Share", "占比"),
    "count": Text("Count", "数量"),
    "details": Text("Details", "详情"),
    # Units. Chinese puts no space where English does.
    "unit_s": Text(" s", " 秒"),
    "unit_m": Text(" m ", " 分 "),
    "unit_h": Text(" h ", " 小时 "),
    "unit_minutes": Text("min", "分钟"),
    "comma": Text(", ", "、"),
    "colon": Text(": ", "："),
    # What one does.
    "apply": Text("Apply", "应用"),
    "filter": Text("Filter", "筛选"),
    "reset": Text("Reset", "重置"),
    "export": Text("Export", "导出"),
    "export_csv": Text("Export CSV", "导出 CSV"),
    "export_xlsx": Text("Export Excel", "导出 Excel"),
    "copy_it": Text("Copy", "复制"),
    "copied": Text("Copied", "已复制"),
    "older": Text("Older", "较旧"),
    "newest": Text("Newest", "最新"),
    "pages": Text("Pages", "分页"),
    "back": Text("Back to the overview", "返回概览"),
    "show_table": Text("Show as a table", "以表格查看"),
    "show_rest": Text("Show the other %d", "显示其余 %d 项"),
    "in_zone": Text("Times in %s", "时区 %s"),
    # Ranges.
    "range": Text("Range", "时间范围"),
    "range_today": Text("Today", "今天"),
    "range_yesterday": Text("Yesterday", "昨天"),
    "range_7d": Text("7 days", "近 7 天"),
    "range_30d": Text("30 days", "近 30 天"),
    "range_custom": Text("Custom", "自定义"),
    "range_since": Text("From", "从"),
    "range_until": Text("To", "到"),
    "range_error_order": Text("The last day is before the first.", "结束日期早于开始日期。"),
    "range_error_date": Text("Enter both days, such as 2026-01-31.", "请填写起止日期，例如 2026-01-31。"),
    "range_error_long": Text("Choose at most 366 days.", "最多选择 366 天。"),
    # Refusals.
    "message_missing": Text("Page not found", "页面不存在"),
    "message_missing_hint": Text(
        "It may have been removed, or the URL is mistyped.", "内容可能已被删除，或者地址有误。"
    ),
    "message_forbidden": Text("Your key is not allowed to do this", "当前密钥没有此权限"),
    "message_forbidden_hint": Text(
        "Sign in with a key of a higher role, or ask an administrator.", "请使用更高角色的密钥登录，或联系管理员。"
    ),
    "message_needs_numbers": Text("This requires the right to full numbers", "此操作需要查看完整号码的权限"),
    "message_needs_numbers_hint": Text(
        "It gives phone numbers to somebody else. Sign in with a key that may see full numbers, or ask an administrator.",
        "此操作会使他人获得电话号码。请使用可查看完整号码的密钥登录，或联系管理员。",
    ),
    "message_numbers": Text("Your key is not allowed to search by number", "当前密钥无权按号码查找"),
    "message_numbers_hint": Text(
        "Keys without the right to full numbers cannot search by number, because the result would reveal whose number it is.",
        "无权查看完整号码的密钥也不能按号码查找通话，否则查找结果会透露号码属于谁。",
    ),
    "message_cross_site": Text("This form is out of date", "该表单已失效"),
    "message_cross_site_hint": Text(
        "It was sent from another site, or from a page of an earlier sign-in. Reload the page and try again.",
        "它来自其他网站，或来自上一次登录时打开的页面。请重新打开页面后再试。",
    ),
    "message_conflict": Text("This conflicts with the current state", "当前状态下无法执行"),
    "message_invalid": Text("The request is invalid", "请求内容有误"),
    "message_unavailable": Text("The ledger is unavailable", "账本暂时无法访问"),
    "message_unavailable_hint": Text(
        "Nothing was changed. Try again in a moment; answerback doctor says why.",
        "没有任何更改。请稍后重试；运行 answerback doctor 可查看原因。",
    ),
    "message_broken": Text("Something went wrong", "页面出错了"),
    "message_broken_hint": Text(
        "This is an error in the program; see the gateway's log.", "这是程序的问题，详见网关日志。"
    ),
    "message_busy": Text("Too many exports are running", "同时进行的导出过多"),
    "message_busy_hint": Text(
        "Each key can run one export at a time. Try again when it has finished.",
        "每个密钥同时只能导出一个，请在其完成后重试。",
    ),
    # Sign-in.
    "sign_in": Text("Sign in", "登录"),
    "sign_in_lead": Text("Sign in with your API key.", "请使用你的 API 密钥。"),
    "sign_in_key": Text("API key", "API 密钥"),
    "sign_in_hint": Text(
        "The first key is in the file admin-key of the data directory. Or run answerback console there for a sign-in link.",
        "首个密钥保存在数据目录的 admin-key 文件中，也可在该机器上运行 answerback console 获取登录链接。",
    ),
    "sign_in_wrong": Text("This key is unknown or was revoked.", "该密钥不存在或已被吊销。"),
    "sign_in_limited": Text("Too many wrong keys. Try again in a minute.", "错误的密钥尝试过多，请一分钟后再试。"),
    "sign_in_link_lead": Text("This one-time link signs you in with the key", "此一次性链接将使用以下密钥登录："),
    "sign_in_link_code": Text("One-time link", "一次性链接"),
    "sign_in_link_hint": Text(
        "Paste the link that answerback console prints. It works once, within ten minutes.",
        "粘贴 answerback console 输出的链接，十分钟内有效，仅可使用一次。",
    ),
    "sign_in_signed_in": Text(
        "You are signed in with the key %s. Signing in with the link replaces that.",
        "当前已使用密钥 %s 登录，通过链接登录将取代当前登录。",
    ),
    "sign_in_link_stay": Text("Stay signed in as you are", "保持当前登录"),
    "sign_in_by_key": Text("Sign in with an API key instead", "改用 API 密钥登录"),
    "sign_in_link_used": Text(
        "This link was used before: it works once. Run answerback console for another.",
        "该链接已被使用过，仅可使用一次。请运行 answerback console 重新获取。",
    ),
    "sign_in_link_expired": Text(
        "This link has expired: it works for ten minutes. Run answerback console for another.",
        "该链接已过期，有效期为十分钟。请运行 answerback console 重新获取。",
    ),
    "sign_in_link_unknown": Text(
        "This link is not valid here: it is incomplete or from another gateway, or its key was revoked.",
        "该链接在此无效：可能不完整、来自其他网关，或其密钥已被吊销。",
    ),
    "sign_in_cross_site": Text("Open this page again and sign in from here.", "请重新打开此页面后登录。"),
}
