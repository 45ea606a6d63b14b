"""The texts of Live."""

from collections.abc import Mapping

from answerback.i18n import Text

TEXTS: Mapping[str, Text] = {
    "live_lead": Text(
        "Callbacks as they come in and deliveries as they are made, newest first.",
        "实时显示收到的回调和投递，最新的在最上方。",
    ),
    "live_on": Text("Connected", "实时更新中"),
    "live_paused": Text("Paused", "已暂停"),
    "live_lost": Text("Connecting", "正在连接"),
    "live_ended": Text("Stopped: reload the page", "已停止，请刷新页面"),
    "live_still": Text("Not refreshing", "未自动刷新"),
    "live_pause": Text("Pause", "暂停"),
    "live_go_on": Text("Resume", "继续"),
    "live_buffered": Text("%d new", "%d 条新记录"),
    "live_skipped": Text("%d more came too fast to show", "另有 %d 条因速度过快未显示"),
    "live_refresh": Text("Refresh every 5 seconds", "每 5 秒刷新"),
    "live_refresh_stop": Text("Stop refreshing", "停止刷新"),
    "live_feed": Text("Activity", "实时动态"),
    "live_callback": Text("Callback", "回调"),
    "live_delivery": Text("Delivery", "投递"),
    "live_delivered": Text("Delivered", "已送达"),
    "live_failed": Text("Failed", "失败"),
    "live_none": Text("Nothing has happened yet", "还没有任何动态"),
    "live_none_hint": Text(
        "Callbacks and deliveries show up here the moment they happen. The Overview shows how to send the first.",
        "收到回调或进行投递时会立即显示在这里。概览会说明如何发送第一个。",
    ),
}
