"""The texts of Quarantine."""

from collections.abc import Mapping

from answerback.i18n import Text

TEXTS: Mapping[str, Text] = {
    "quarantine_lead": Text(
        "Request bodies that could not be parsed. Their senders got an error; the bodies are kept.",
        "无法解析的请求体。发送方已收到错误应答，内容完整保留。",
    ),
    "quarantine_size": Text("Bodies: %s, %s", "共 %s 条，%s"),
    "quarantine_none": Text("Nothing in quarantine", "隔离区为空"),
    "quarantine_none_hint": Text("Every body received so far could be parsed.", "收到的请求体全部可以解析。"),
    "quarantine_result": Text("Response", "应答"),
    "quarantine_result_0": Text("OK; rows of the inbox that cannot be read", "OK；收件箱中读不出来的行"),
    "quarantine_result_1011": Text("no known callback", "没有已知的回调字段"),
    "quarantine_result_3003": Text("not JSON", "不是 JSON"),
    "quarantine_result_3004": Text("a field is invalid", "字段缺失或类型不符"),
    "quarantine_bytes": Text("Size", "大小"),
    "quarantine_repeats": Text("Duplicates", "重复"),
    "quarantine_received": Text("Received", "收到时间"),
    "quarantine_repeated": Text("Last duplicate", "最近重复"),
    "quarantine_body": Text("Body %d", "请求体 %d"),
    "quarantine_choose": Text("Select body %d", "选择请求体 %d"),
    "quarantine_content": Text("Content", "内容"),
    "quarantine_retry": Text("Requeue", "重新处理"),
    "quarantine_retry_all": Text("Requeue all", "全部重新处理"),
    "quarantine_retry_rest": Text("Continue with the rest", "继续处理其余请求体"),
    "quarantine_retry_hint": Text(
        "Parses them again, for example after an upgrade. Those that are callbacks now are recorded.",
        "例如升级后可再次解析；解析成功的会并入对应的通话。",
    ),
    "quarantine_requeued": Text(
        "%s parsed again: %s are callbacks now, %s are still not.", "已重新处理 %s 条：%s 条成功，%s 条仍无法解析。"
    ),
    "quarantine_still": Text("Still not a callback: %s", "仍无法解析：%s"),
    "quarantine_lost": Text(
        "The senders of these callbacks were answered OK, but their content is lost. Ask the vendor for the records of that time, import "
        "them with answerback import or POST /v1/callbacks, and delete this entry.",
        "这些回调的发送方已得到 OK，但内容已丢失，无法再解析。请向厂商索取该时段的记录，用 answerback import 或 POST /v1/callbacks 补录，然后删除本条。",
    ),
    "quarantine_drop": Text("Delete", "删除"),
    "quarantine_drop_chosen": Text("Delete selected", "删除所选"),
    "quarantine_drop_hint": Text("This cannot be undone.", "不可恢复。"),
    "quarantine_empty_body": Text("The body is empty.", "请求体为空。"),
    "unit_bytes": Text("bytes", "字节"),
    "done_requeued": Text("It is a callback now, and was moved out of quarantine.", "已解析为回调并移出隔离区。"),
    "done_dropped": Text("Deleted.", "已删除。"),
    "done_drop_none": Text("Nothing was selected.", "没有选择任何请求体。"),
    "audit_quarantine_requeued": Text("Requeued quarantined bodies", "重新处理隔离区中的请求体"),
    "audit_quarantine_deleted": Text("Deleted quarantined bodies", "删除隔离区中的请求体"),
}
