"""The texts of Endpoints."""

from collections.abc import Mapping

from answerback.i18n import Text

TEXTS: Mapping[str, Text] = {
    "endpoints_lead": Text("Webhook URLs that receive every event of a channel.", "接收通道事件的 webhook URL。"),
    "endpoints_add": Text("Add an endpoint", "添加端点"),
    "endpoints_none": Text("No endpoints yet", "还没有端点"),
    "endpoints_none_hint": Text(
        "Add a webhook URL: it receives every outcome, signed, in order per call, at least once.",
        "添加一个 webhook URL，即可收到每个通话结果：带签名，同一通话按序，至少一次。",
    ),
    "endpoints_inactive": Text(
        "Another gateway on this data directory delivers. Make changes there.",
        "投递由同一数据目录上的另一个网关负责，请在那里修改。",
    ),
    "endpoint_url": Text("URL", "URL"),
    "endpoint_oldest": Text("Oldest pending", "最早的待投递"),
    "endpoint_recent": Text("Latest attempts", "最近的尝试"),
    "endpoint_recent_words": Text("%d of the last %d succeeded", "%d / %d 次成功"),
    "endpoint_none_tried": Text("none yet", "暂无"),
    "endpoint_times": Text("p50 / p95", "p50 / p95"),
    "health_healthy": Text("Healthy", "正常"),
    "health_off": Text("Disabled", "已停用"),
    "health_paused": Text("Paused", "已暂停"),
    "health_failing": Text("Failing", "投递失败"),
    "health_backlogged": Text("Backlogged", "有积压"),
    "health_untried": Text("Not tried yet", "尚未投递"),
    "health_off_hint": Text("Deliveries wait until it is enabled.", "启用前投递会一直等待。"),
    "health_off_by_hand": Text("Disabled manually", "手动停用"),
    "health_off_in_config": Text("Disabled in the config file", "配置文件中已停用"),
    "health_off_not_in_config": Text("Removed from the config file", "已从配置文件中移除"),
    "health_paused_hint": Text(
        "It failed %d times in a row; the next probe is at %s.", "连续失败 %d 次，将于 %s 进行下一次探测。"
    ),
    "health_failing_hint": Text("The last attempt failed: %s", "最近一次投递失败：%s"),
    "health_backlogged_hint": Text("The oldest delivery has been waiting since %s.", "最早的投递自 %s 起等待。"),
    "health_untried_hint": Text("Nothing has been sent yet. Send a test event.", "还没有投递过，可发送测试事件。"),
    "health_healthy_hint": Text("The last attempt succeeded.", "最近一次投递成功。"),
    "endpoint_about": Text("Settings", "配置"),
    "endpoint_format": Text("Format", "格式"),
    "format_standard": Text(
        "Standard Webhooks, signed, with the whole call", "Standard Webhooks（带签名，含完整通话信息）"
    ),
    "format_tencent": Text("Tencent Cloud's own callbacks", "腾讯云原始回调格式"),
    "endpoint_kinds": Text("Callbacks", "回调类型"),
    "endpoint_outcomes": Text("Outcomes", "通话结果"),
    "endpoint_failure_codes": Text("Failure codes", "失败码"),
    "endpoint_number_prefixes": Text("Numbers that begin with", "号码前缀"),
    "endpoint_reference_prefixes": Text("References that begin with", "业务编号前缀"),
    "endpoint_updates": Text("Also deliver when reference or metadata change", "业务编号或元数据变化时也投递"),
    "endpoint_updates_short": Text("Updates", "更新"),
    "endpoint_timeout": Text("Timeout per attempt", "单次超时"),
    "endpoint_concurrency": Text("Concurrent attempts", "并发数"),
    "endpoint_enabled": Text("Enabled", "启用"),
    "endpoint_secret": Text("Secret", "密钥"),
    "endpoint_certificate": Text("Certificate", "证书"),
    "endpoint_certificate_none": Text(
        "system's certificate authorities, no client certificate", "系统 CA，不使用客户端证书"
    ),
    "endpoint_retries": Text("Retries after", "重试间隔"),
    "endpoint_proxy": Text("Proxy", "代理"),
    "endpoint_headers": Text("Custom headers", "自定义请求头"),
    "endpoint_success": Text("Counts as success", "成功条件"),
    "endpoint_previous_secret": Text("Previous secret valid until", "旧密钥仍有效至"),
    "endpoint_from_config": Text("from the config file", "来自配置文件"),
    "endpoint_from_config_hint": Text(
        "It is defined in the config file and can only be changed there. You can enable, disable and test it here.",
        "该端点由配置文件定义，请在配置文件中修改；此处可启停和测试。",
    ),
    "endpoint_changed": Text("Changed", "修改时间"),
    "endpoint_test": Text("Send a test event", "发送测试事件"),
    "endpoint_enable": Text("Enable", "启用"),
    "endpoint_disable": Text("Disable", "停用"),
    "endpoint_rotate": Text("Rotate secret", "更换密钥"),
    "endpoint_rotate_hint": Text("The old secret stays valid for 24 hours.", "旧密钥在 24 小时内仍有效。"),
    "endpoint_edit": Text("Edit", "编辑"),
    "endpoint_remove": Text("Remove", "删除"),
    "endpoint_yes": Text("yes", "是"),
    "endpoint_no": Text("no", "否"),
    "endpoint_backlog": Text("Backlog", "积压"),
    "endpoint_do": Text("Actions", "操作"),
    "tested_taken": Text("The test event was accepted", "测试成功"),
    "tested_failed": Text("The test event failed", "测试失败"),
    "tested_request": Text("Request", "请求"),
    "tested_response": Text("Response", "响应"),
    "tested_answered": Text("Headers after %s", "%s 后收到响应头"),
    "tested_no_response": Text("No response.", "没有响应。"),
    "tested_in": Text("in %s", "耗时 %s"),
    # Telling again.
    "replay_title": Text("Replay", "重新投递"),
    "replay_dead": Text("Replay the %s dead deliveries", "重新投递 %s 条死信"),
    "replay_dead_hint": Text("Deliveries of a call keep their order.", "同一通话的投递保持顺序。"),
    "replay_range": Text("Replay all events of calls first seen between", "重新投递以下时间段内的通话"),
    "replay_invalid_time": Text("Enter a date and a time.", "请填写日期和时间。"),
    "replay_invalid_order": Text("Must be after the start.", "结束时间须晚于开始时间。"),
    "replay_of_dead": Text("Dead deliveries", "死信"),
    "replay_of_calls": Text("Calls", "通话"),
    "replay_running": Text("Running", "进行中"),
    "replay_done": Text("Done", "已完成"),
    "replay_failed": Text("Failed", "失败"),
    "replay_examined": Text("%s of %s examined", "已检查 %s / %s"),
    "replay_replayed": Text("Deliveries queued again: %s", "将重新投递 %s 条"),
    "replay_refreshes": Text("This page refreshes automatically.", "页面会自动刷新。"),
    "replay_began": Text("Started", "开始时间"),
    # The forms.
    "endpoint_needs_numbers": Text(
        "This sends phone numbers to the owner of the URL, so it requires the right to full numbers.",
        "此操作会把电话号码发给该 URL 的所有者，需要查看完整号码的权限。",
    ),
    "endpoint_pace_only": Text(
        "Your key may only change the timeout, the number of concurrent attempts and the retries. The other fields decide who receives phone numbers and require the right to full numbers.",
        "当前密钥只能修改单次超时、并发数和重试间隔。其余各项决定谁会收到电话号码，需要查看完整号码的权限。",
    ),
    "endpoint_edit_title": Text("Edit %s", "编辑 %s"),
    "endpoint_name_hint": Text(
        "Lowercase letters, digits, - and _; generated if empty.", "小写字母、数字、- 和 _；留空则自动生成。"
    ),
    "endpoint_url_hint": Text("http:// or https://, without user name.", "以 http:// 或 https:// 开头，不含用户名。"),
    "endpoint_kinds_hint": Text("None checked: all.", "不勾选表示全部。"),
    "endpoint_failure_codes_hint": Text("Separated by commas; empty: all.", "用逗号分隔；留空表示全部。"),
    "endpoint_number_prefixes_hint": Text(
        "Separated by commas: 138, or +852 with the country code; empty: all.",
        "用逗号分隔：138，或带国家码的 +852；留空表示全部。",
    ),
    "endpoint_reference_prefixes_hint": Text("Separated by commas; empty: all.", "用逗号分隔；留空表示全部。"),
    "endpoint_timeout_hint": Text("Seconds, up to 300.", "秒，最大 300。"),
    "endpoint_concurrency_hint": Text("1 to 1024.", "1 到 1024。"),
    "endpoint_secret_hint": Text(
        "whsec_ and 24 to 64 bytes in base64; generated if empty.", "whsec_ 加 24 至 64 字节的 base64；留空则自动生成。"
    ),
    "endpoint_certificate_hint": Text(
        "For a private certificate authority or mutual TLS; certificates are defined in the config file.",
        "用于自建 CA 或双向 TLS；证书在配置文件中定义。",
    ),
    "endpoint_retries_hint": Text(
        "Seconds before each further attempt, separated by commas; empty: relay.retry_schedule_s.",
        "每次重试之前等待的秒数，用逗号分隔；留空则按 relay.retry_schedule_s。",
    ),
    "endpoint_proxy_hint": Text(
        "http://host:port of an HTTP proxy, or direct for none; empty: relay.proxy.",
        "HTTP 代理 http://主机:端口，或 direct 表示不用代理；留空则按 relay.proxy。",
    ),
    "endpoint_headers_hint": Text(
        "One a line, as Name: value. Values are never shown again: … keeps the current value.",
        "每行一个，格式为 名称: 值。值保存后不再显示，… 表示保留原值。",
    ),
    "endpoint_success_hint": Text(
        "contract (2xx with result 0), 2xx, json:path=value or text:words; empty: the format's default.",
        "contract（2xx 且 result 为 0）、2xx、json:路径=值 或 text:文本；留空则按格式的默认规则。",
    ),
    "endpoint_more": Text("Limits, headers, response, certificate", "限制、请求头、响应与证书"),
    "endpoint_save": Text("Save", "保存"),
    "endpoint_cancel": Text("Cancel", "取消"),
    "endpoint_invalid": Text("Please check these fields.", "请检查以下字段。"),
    "invalid_name": Text(
        "Lowercase letters, digits, - and _, up to 64, not digits alone, and not in use.",
        "名称须为小写字母、数字、- 或 _，最多 64 个字符，不能全为数字，且不能与已有端点重名。",
    ),
    "invalid_format": Text("Choose one of the two formats.", "请选择其中一种格式。"),
    "invalid_kinds": Text("Choose from the listed kinds of callbacks.", "请选择列出的回调类型。"),
    "invalid_outcomes": Text("Choose from the listed outcomes.", "请选择列出的通话结果。"),
    "invalid_failure_codes": Text("Whole numbers, separated by commas.", "请填写整数，用逗号分隔。"),
    "invalid_number_prefixes": Text(
        "Up to 7 digits, or + and up to 10, separated by commas.", "最多 7 位数字，或 + 加最多 10 位数字，用逗号分隔。"
    ),
    "invalid_reference_prefixes": Text(
        "Up to 128 characters each, separated by commas.", "每个最多 128 个字符，用逗号分隔。"
    ),
    "invalid_notify_on_update": Text("Check or uncheck the box.", "请勾选或取消勾选。"),
    "invalid_enabled": Text("Check or uncheck the box.", "请勾选或取消勾选。"),
    "invalid_channel": Text("There is no such channel.", "没有这个通道。"),
    "invalid_url": Text(
        "A reachable http:// or https:// URL without user name and #; private networks must be allowed in the config file.",
        "请填写可访问的 http:// 或 https:// URL，不含用户名和 #；内网地址须在配置文件中允许。",
    ),
    "invalid_timeout_s": Text("A number of seconds above 0, up to 300.", "请填写大于 0 且不超过 300 的秒数。"),
    "invalid_concurrency": Text("A whole number from 1 to 1024.", "请填写 1 到 1024 的整数。"),
    "invalid_secret": Text("whsec_ and 24 to 64 bytes in base64.", "格式应为 whsec_ 加 24 至 64 字节的 base64。"),
    "invalid_retry_schedule_s": Text(
        "Up to 100 numbers of seconds above 0, separated by commas.", "最多 100 个大于 0 的秒数，用逗号分隔。"
    ),
    "invalid_proxy": Text(
        "http://host:port without user name and path, or direct; private networks must be allowed in the config file.",
        "应为 http://主机:端口（不含用户名和路径）或 direct；内网地址须在配置文件中允许。",
    ),
    "invalid_headers": Text(
        "One header a line, as Name: value, in printable ASCII; not one that the gateway sets. A value can only be kept while the URL's host stays, and with http:// the proxy.",
        "每行一个请求头，格式为 名称: 值，仅限可打印的 ASCII 字符，且不能是网关自己设置的请求头。URL 的主机改变后（http:// 时还有代理）须重新填写各个值。",
    ),
    "invalid_success": Text(
        "contract, 2xx, json:path=value or text:words.", "应为 contract、2xx、json:路径=值 或 text:文本。"
    ),
    "invalid_certificate": Text("The config file has no such certificate.", "配置文件中没有这个证书。"),
    # Secrets and removal.
    "secret_added": Text("Endpoint %s was added", "已添加 %s"),
    "secret_rotated": Text("The secret of %s was rotated", "%s 的密钥已更换"),
    "secret_once": Text(
        "This is the secret. It is shown only once: copy it now.", "这是它的密钥，仅显示这一次，请立即复制。"
    ),
    "secret_use": Text(
        "Use it to verify the signature of each webhook with any Standard Webhooks library.",
        "请用任意 Standard Webhooks 库以此密钥校验签名。",
    ),
    "secret_kept": Text("I have stored it", "我已保存"),
    "endpoint_remove_title": Text("Remove %s?", "删除 %s？"),
    "endpoint_remove_hint": Text(
        "Nothing more is delivered to it. Pending deliveries are cancelled; its history is kept.",
        "之后不再投递，待投递的会取消，历史记录会保留。",
    ),
    "endpoint_remove_backlog": Text("Pending deliveries: %s.", "仍有 %s 条待投递。"),
    "endpoint_remove_sure": Text("Remove it", "确认删除"),
    "endpoint_remove_unsure": Text("Check the box to remove the endpoint.", "请勾选确认后再删除。"),
    "done_endpoint_enabled": Text("Endpoint enabled.", "已启用。"),
    "done_endpoint_disabled": Text("Endpoint disabled: deliveries wait.", "已停用，投递将等待。"),
    "done_endpoint_changed": Text("Changes saved.", "修改已生效。"),
    "done_endpoint_removed": Text("Endpoint removed.", "端点已删除。"),
    # What is on record.
    "audit_endpoint_added": Text("Added an endpoint", "添加端点"),
    "audit_endpoint_changed": Text("Changed an endpoint", "修改端点"),
    "audit_endpoint_enabled": Text("Enabled an endpoint", "启用端点"),
    "audit_endpoint_disabled": Text("Disabled an endpoint", "停用端点"),
    "audit_endpoint_secret_rotated": Text("Rotated an endpoint's secret", "更换端点密钥"),
    "audit_endpoint_removed": Text("Removed an endpoint", "删除端点"),
    "audit_endpoint_tested": Text("Tested an endpoint", "测试端点"),
    "audit_endpoint_replayed": Text("Replayed to an endpoint", "重新投递"),
    "audit_delivery_replayed": Text("Replayed a delivery", "重新投递单条投递"),
}
