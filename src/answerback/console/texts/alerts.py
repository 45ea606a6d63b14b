"""The texts of Alerts."""

from collections.abc import Mapping

from answerback.i18n import Text

TEXTS: Mapping[str, Text] = {
    "alerts_hint": Text("The rules of the config file and their state.", "配置文件中的规则及其当前状态。"),
    "alerts_none": Text("No alert rules", "尚未配置规则"),
    "alerts_none_hint": Text(
        "Add [alerts.rules.<name>] to the config file to be notified of failing endpoints, low answer rates and more.",
        "在配置文件中添加 [alerts.rules.<名称>]，即可在投递失败、接通率过低等情况下收到通知。",
    ),
    "alert_rule": Text("Rule", "规则"),
    "alert_state": Text("State", "状态"),
    "alert_firing": Text("Firing", "告警中"),
    "alert_quiet": Text("OK", "正常"),
    "alert_unknown": Text("Not measured yet", "尚未测量"),
    "alert_measured": Text("Measured", "测量结果"),
    "alert_since": Text("Since", "开始时间"),
    "alert_notified": Text("Last notified", "最近通知"),
    "alert_runbook": Text("Runbook", "处理手册"),
    # What to do first when a rule fires, by its metric; the runbook has the rest.
    "alert_do_answer_rate": Text("See which reasons grew, and at which hours.", "看哪些失败原因增多，集中在哪些时段。"),
    "alert_do_failures": Text(
        "Open the reason: which numbers, and since when.", "点开该原因，看是哪些号码、从何时开始。"
    ),
    "alert_do_endpoint": Text(
        "See what the endpoint answers. Its deliveries wait; a paused endpoint is tried again by itself.",
        "看端点返回了什么。投递会等待，已暂停的端点会自动重试。",
    ),
    "alert_do_quarantine": Text(
        "Look at the bodies: noise from a scanner, or callbacks in a format that is not supported yet.",
        "看请求体的内容：是扫描噪音，还是尚不支持的回调格式。",
    ),
    "alert_do_fees": Text("Show the mismatched calls to the vendor.", "用计费不符的通话与厂商核对。"),
    "alert_do_overdue": Text(
        "See whether callbacks come in at all. If not, check the callback URL at the vendor; if so, check the sender's log.",
        "看是否还有回调进来：没有则检查厂商侧的回调 URL，有则检查发送方日志。",
    ),
    "alert_do_recorder_lag": Text(
        "Callbacks are answered and safe. Run answerback status on this machine for the reason.",
        "回调照常应答并已保存。在本机运行 answerback status 查看原因。",
    ),
}
