"""The texts of Quarantine."""

from collections.abc import Mapping

from answerback.i18n import Text

TEXTS: Mapping[str, Text] = {
    "quarantine_title": Text("Quarantine", "隔离区"),
    "quarantine_lead": Text(
        "Bodies that could not be understood. Their senders were told so; nothing is lost.",
        "无法识别的请求内容。发送方已收到拒绝应答，内容完整保留。",
    ),
    "quarantine_size": Text("Bodies: %s, %s", "共 %s 条，%s"),
    "quarantine_none": Text("Nothing in quarantine", "隔离区为空"),
    "quarantine_none_hint": Text("Every body that came in was understood.", "收到的内容全部可以识别。"),
    "quarantine_reason": Text("Reason", "原因"),
    "quarantine_result": Text("Answered", "应答"),
    "quarantine_result_1011": Text("no known callback", "没有已知的回调字段"),
    "quarantine_result_3003": Text("not JSON", "不是 JSON"),
    "quarantine_result_3004": Text("a field is invalid", "字段缺失或类型不符"),
    "quarantine_bytes": Text("Size", "大小"),
    "quarantine_repeats": Text("Repeats", "重复"),
    "quarantine_received": Text("Received", "收到时间"),
    "quarantine_repeated": Text("Last repeat", "最近重复"),
    "quarantine_body": Text("Body %d", "内容 %d"),
    "quarantine_choose": Text("Choose body %d", "选择内容 %d"),
    "quarantine_content": Text("Content", "内容"),
    "quarantine_retry": Text("Read it again", "重新识别"),
    "quarantine_retry_all": Text("Read all again", "全部重新识别"),
    "quarantine_retry_rest": Text("Go on with the rest", "继续处理剩余内容"),
    "quarantine_retry_hint": Text(
        "After an upgrade that understands more. What is a callback now goes to its call.",
        "升级后可再次识别；识别成功的会并入对应的通话。",
    ),
    "quarantine_requeued": Text(
        "%s read again: %s are callbacks now, %s are still refused.", "已重新识别 %s 条：%s 条成功，%s 条仍无法识别。"
    ),
    "quarantine_still": Text("Still refused: %s", "仍无法识别：%s"),
    "quarantine_drop": Text("Throw away", "丢弃"),
    "quarantine_drop_chosen": Text("Throw the chosen away", "丢弃所选"),
    "quarantine_drop_hint": Text("For good.", "不可恢复。"),
    "quarantine_empty_body": Text("The body is empty.", "内容为空。"),
    "unit_bytes": Text("bytes", "字节"),
    "done_requeued": Text("It is a callback now, and out of quarantine.", "已识别为回调并移出隔离区。"),
    "done_dropped": Text("Thrown away.", "已丢弃。"),
    "done_drop_none": Text("None was chosen.", "没有选择任何内容。"),
    "audit_quarantine_requeued": Text("Had quarantined bodies read again", "重新识别隔离内容"),
    "audit_quarantine_deleted": Text("Threw quarantined bodies away", "丢弃隔离内容"),
}
