"""The texts of the first steps, which the Overview shows as long as no call has come in."""

from collections.abc import Mapping

from answerback.i18n import Text

TEXTS: Mapping[str, Text] = {
    "first_title": Text("First steps", "开始使用"),
    "first_lead": Text(
        "No call has come in yet. Outcomes and statistics will appear here.",
        "还没有收到任何通话。收到之后，这里会显示通话结果和统计。",
    ),
    "first_paste": Text("Give the cloud your callback URL", "将回调 URL 填入云控制台"),
    "first_send": Text("Send a test callback", "发送一个测试回调"),
    "first_send_hint": Text(
        "Run this on any machine that reaches the URL. It reports a call that was answered.",
        "在任意一台能访问该 URL 的机器上执行，上报一通已接听的电话。",
    ),
    "first_send_answer": Text("The callback is stored if the answer is", "收到如下应答即表示已保存："),
    "first_send_admin": Text(
        "Only administrators see the command here, because it contains the secret segment of the URL.",
        "命令中包含 URL 的密钥部分，管理员登录后可在此查看。",
    ),
    "first_see": Text("See it arrive", "查看收到的回调"),
    "first_waiting": Text("Waiting for the first callback", "等待第一个回调"),
    "first_waiting_hint": Text(
        "It appears here by itself, within a second of its answer.", "应答后一秒内会自动显示在这里。"
    ),
    "first_arrived": Text("It has arrived and is recorded.", "回调已收到并写入账本。"),
    "first_go_on": Text("Show the Overview", "查看概览"),
    "first_look": Text("Look again", "刷新查看"),
    "first_missing": Text(
        "Nothing appears? Bodies that cannot be parsed are in quarantine; the state of the store shows whether it answers:",
        "没有显示？无法解析的请求体在隔离区，存储状态也可查看：",
    ),
    "first_demo": Text(
        "Only looking around? A month of calls, without any set-up:", "只想先看看？无需配置即可查看一个月的通话："
    ),
}
