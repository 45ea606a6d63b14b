"""Every text of the emulator's page, in English and Chinese."""

from collections.abc import Mapping

from answerback.emulator.vendor_errors import VendorError
from answerback.i18n import Text, translate_all


def texts(language: str) -> Mapping[str, str]:
    """Name -> text, in one of `LANGUAGES`."""
    return translate_all(_TEXTS, language)


def error_text(error: VendorError, language: str) -> str:
    """What a refusal means; the Chinese ones are ours, the English ones are those of the APIs' answers."""
    return _ERRORS_ZH[error] if language == "zh" else error.message


_TEXTS: Mapping[str, Text] = {
    # The frame.
    "product": Text("Answerback", "Answerback"),
    "emulator": Text("Emulator", "模拟器"),
    "skip": Text("Skip to content", "跳到正文"),
    "sections": Text("Sections", "栏目"),
    "language": Text("Language", "语言"),
    "footer": Text(
        "Nothing here leaves this machine: no account, no phone, no cost.",
        "一切都在本机进行：无需账号，不拨电话，不产生费用。",
    ),
    "as_json": Text("Calls as JSON", "以 JSON 查看呼叫"),
    # The home page.
    "title": Text("Tencent Cloud's voice service, on your machine", "本机上的腾讯云语音服务"),
    "listens": Text("Point your SDK at", "SDK 地址"),
    "lead": Text(
        "Send a call by API 2.0 or 3.0, or place one here, and watch it ring, end and call back.",
        "通过 API 2.0 或 3.0 发送，或在此直接发起，然后观察呼叫的全过程及其回调。",
    ),
    "tally": Text("At a glance", "概览"),
    "tally_calls": Text("Calls", "呼叫"),
    "tally_active": Text("Active", "进行中"),
    "tally_taken": Text("Callbacks accepted", "回调成功"),
    "tally_refused": Text("Failed attempts", "回调失败次数"),
    # The form.
    "place": Text("Place a call", "发起呼叫"),
    "application": Text("Application", "应用"),
    "goes": Text("Result", "呼叫结果"),
    "goes_by_number": Text("Decided by the number", "由所填号码决定"),
    "goes_hint": Text(
        "A choice replaces the last three digits of the number.",
        "选择后将替换号码的末三位。",
    ),
    "group_courses": Text("Common scenarios", "常见过程"),
    "group_failures": Text("Failure codes", "失败码"),
    "number": Text("Number", "号码"),
    "number_hint": Text("A Chinese mobile, or + and a country code.", "中国手机号，或以 + 加国家码开头。"),
    "kind": Text("Kind", "类型"),
    "text": Text("Text", "内容"),
    "text_hint": Text("Up to 100 characters.", "不超过 100 个字符。"),
    "text_default": Text("Disk almost full on db-1.", "告警：db-1 磁盘空间不足。"),
    "code": Text("Code", "验证码"),
    "code_hint": Text("Up to 10 digits.", "不超过 10 位数字。"),
    "submit": Text("Call", "呼叫"),
    "refused": Text("The cloud refused the call", "发送被拒绝"),
    # Calls.
    "calls": Text("Calls", "呼叫记录"),
    "no_calls": Text("No calls yet", "还没有呼叫"),
    "no_calls_hint": Text(
        "Place one with the form, or run a program below.",
        "用表单发起一次呼叫，或运行下方的示例代码。",
    ),
    "refresh": Text("Refresh", "刷新"),
    "newer": Text("Newer", "较新"),
    "older": Text("Older", "较旧"),
    "pages": Text("Pages", "分页"),
    "time": Text("Time", "时间"),
    "outcome": Text("Outcome so far", "当前结果"),
    "callbacks": Text("Callbacks", "回调"),
    "taken": Text("accepted", "成功"),
    "not_taken": Text("refused", "失败"),
    "none_yet": Text("none yet", "暂无"),
    "none": Text("none", "无"),
    "by_chance": Text("random", "随机"),
    # Applications.
    "applications": Text("Applications", "应用"),
    "app_id": Text("SDK AppID", "SDK AppID"),
    "app_key": Text("AppKey", "AppKey"),
    "callback_url": Text("Callback URL", "回调 URL"),
    "balance": Text("Balance", "余额"),
    "unlimited": Text("unlimited", "不限"),
    "calls_left": Text("calls left", "次"),
    "call_from": Text("Calls from", "主叫号码"),
    "templates": Text("Templates", "模板"),
    "no_templates": Text("No templates.", "没有模板。"),
    "sensitive": Text("Sensitive words", "敏感词"),
    "disabled": Text("disabled", "已停用"),
    "in_arrears": Text("in arrears", "已欠费"),
    "ready": Text("ready", "可用"),
    "secrets": Text("Keys for API 3.0", "API 3.0 密钥"),
    # Programs and numbers.
    "snippets": Text("Call from your code", "在代码中调用"),
    "snippets_lead": Text("Ready to paste: address and keys are filled in.", "地址和密钥已填好，复制即可运行。"),
    "copy_it": Text("Copy", "复制"),
    "copied": Text("Copied", "已复制"),
    "numbers": Text("Numbers", "号码表"),
    "numbers_lead": Text(
        "The last three digits decide what happens to a call. Any other ending is random.",
        "号码的末三位决定呼叫的结果；其他尾号则随机。",
    ),
    "ending": Text("Ending", "尾号"),
    "what_happens": Text("What happens", "会发生什么"),
    "try_it": Text("Use this ending in the form", "在表单中使用此尾号"),
    # A call.
    "call": Text("Call", "呼叫"),
    "back": Text("All calls", "全部呼叫"),
    "callid": Text("callid", "callid"),
    "placed": Text("Placed", "发起时间"),
    "live_note": Text("In progress: this page refreshes automatically.", "进行中，页面会自动刷新。"),
    "timeline": Text("Timeline", "过程"),
    "timeline_hint": Text(
        "In seconds of the call; the emulator may run them faster.",
        "以通话时间计（秒），模拟器可能以更快的速度进行。",
    ),
    "to_come": Text("to come", "尚未发生"),
    "rings": Text("Rings", "振铃"),
    "talks": Text("Talks", "通话"),
    "dials": Text("Dials", "拨号"),
    "seconds": Text("s", "秒"),
    "no_callbacks": Text("No callbacks yet.", "尚未发送回调。"),
    "no_callbacks_ever": Text("No callbacks were sent about this call.", "此呼叫没有发送任何回调。"),
    "callback": Text("Callback", "回调"),
    "attempt": Text("Attempt %d", "第 %d 次尝试"),
    "body": Text("Body", "请求体"),
    "bom": Text("begins with a byte order mark", "以字节序标记（BOM）开头"),
    "answer": Text("Response", "应答"),
    "empty_answer": Text("empty", "空"),
    "status": Text("Status", "状态码"),
    "duration": Text("Duration", "耗时"),
    "verdict": Text("Result", "结论"),
    "verdict_accepted": Text("Accepted", "已接收"),
    "verdict_no_answer": Text("No response", "没有应答"),
    "verdict_unreadable": Text("Not a valid response", "应答不符合约定"),
    "verdict_rejected": Text("Refused", "被拒绝"),
    "hint_no_answer": Text("Is anything listening at the callback URL?", "回调 URL 上是否有服务在监听？"),
    "hint_unreadable": Text('Expected: {"result":0,"errmsg":"OK"}.', '应为：{"result":0,"errmsg":"OK"}。'),
    "hint_rejected": Text("The cloud retries callbacks that are not accepted.", "未被接收的回调会重新发送。"),
    "attempts": Text("%d attempts", "共 %d 次尝试"),
    # Refusals of the page itself.
    "missing": Text("No such call", "没有这个呼叫"),
    "missing_hint": Text(
        "The emulator keeps calls in memory, at most the newest 10,000.",
        "模拟器只在内存中保留最近一万次呼叫。",
    ),
    "forbidden": Text("This form was sent from another site", "该表单来自其他网站"),
    "forbidden_hint": Text("Calls are placed from the emulator's own page only.", "只能从模拟器自己的页面发起呼叫。"),
    "too_large": Text("This form is too large", "表单过大"),
    "too_large_hint": Text("A call's text has up to 100 characters.", "呼叫内容不超过 100 个字符。"),
    # Kinds of callbacks, and of calls.
    "kind_prompt": Text("Notification", "语音通知"),
    "kind_code": Text("Verification code", "语音验证码"),
    "callback_prompt": Text("Status", "状态"),
    "callback_code": Text("Status", "状态"),
    "callback_key": Text("Key press", "按键"),
    "callback_failure": Text("Failure", "失败原因"),
    # What happens to a call.
    "step_dialled": Text("Dialled", "拨号"),
    "step_ringing": Text("Ringing", "振铃"),
    "step_answered": Text("Answered", "接听"),
    "step_key": Text("Key", "按键"),
    "step_ended": Text("Ended", "结束"),
    "step_status": Text("Status sent", "推送状态"),
    "step_failure": Text("Failure sent", "推送失败原因"),
    # How far it is, and what came of it.
    "state_dialled": Text("dialling", "拨号中"),
    "state_ringing": Text("ringing", "振铃中"),
    "state_answered": Text("in the call", "通话中"),
    "state_key": Text("in the call", "通话中"),
    "state_ended": Text("sending callbacks", "推送中"),
    "state_pending": Text("not delivered", "未送达"),
    "state_unanswered": Text("not answered", "未接听"),
    "state_failed": Text("failed", "失败"),
    "state_done": Text("answered", "已接听"),
}

_ERRORS_ZH: Mapping[VendorError, str] = {
    VendorError.SIGNATURE: "签名不正确",
    VendorError.SENSITIVE_WORD: "内容含有敏感词",
    VendorError.PACKET: "请求字段缺失或不合要求",
    VendorError.INTERFACE: "接口不存在",
    VendorError.FREQUENCY: "呼叫该号码过于频繁",
    VendorError.TEMPLATE: "模板不存在或未审核通过",
    VendorError.APPLICATION: "应用不存在",
    VendorError.DISABLED: "应用已停用",
    VendorError.TIME: "请求时间偏差过大",
    VendorError.UNSUPPORTED: "不支持该操作",
    VendorError.BALANCE: "语音套餐余额不足",
    VendorError.ARREARS: "账号欠费，服务已停止",
    VendorError.TOO_LONG: "内容过长",
    VendorError.JSON: "请求体不是 JSON",
    VendorError.PARAMETERS: "参数不合要求",
    VendorError.NUMBER: "没有可用的主叫号码",
    VendorError.CALLEE: "无法呼叫该号码",
    VendorError.SDK_APPLICATION: "应用不存在",
    VendorError.TC3_SIGNATURE: "签名不正确",
    VendorError.TC3_SECRET_ID: "SecretId 不存在",
}
