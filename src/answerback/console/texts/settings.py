"""The texts of Settings."""

from collections.abc import Mapping

from answerback.i18n import Text

TEXTS: Mapping[str, Text] = {
    "callback_urls": Text("Callback URLs", "回调 URL"),
    "callback_urls_hint": Text(
        "Paste each into the cloud console, as the event callback of its voice application. There is one URL for each channel.",
        "将各 URL 填入云控制台中对应语音应用的事件回调配置，每个通道一个。",
    ),
    "callback_urls_secret": Text(
        "The last segment of a URL is a secret: anyone who knows it can send callbacks.",
        "URL 的最后一段是密钥，知道它的人都能发送回调。",
    ),
    "callback_urls_open": Text(
        "A URL without a secret accepts callbacks from anyone who can reach it. Set channels.<name>.token in the config file.",
        "没有密钥的 URL 会接受任何人的回调。请在配置文件中设置 channels.<名称>.token。",
    ),
    "callback_urls_local": Text(
        "The cloud cannot reach this host: it is only reachable from this machine or its network. Put HTTPS in front and set server.public_url.",
        "云端无法访问这个主机，它只在本机或内网有效。请在前面配置 HTTPS 反向代理，并设置 server.public_url。",
    ),
    "callback_urls_hidden": Text("Only administrators see the secret segment.", "仅管理员可查看密钥部分。"),
    # Keys.
    "keys_title": Text("API keys", "API 密钥"),
    "keys_hint": Text(
        "A key signs in to the console and gives access to the API. Viewers read; operators also requeue, replay and change endpoints.",
        "密钥可用于登录控制台和调用 API。只读角色仅可查看，运维角色还可重新处理、重新投递和修改端点。",
    ),
    "keys_yours": Text("Your key", "当前密钥"),
    "key_name_hint": Text("Lowercase letters, digits, - and _.", "小写字母、数字、- 和 _。"),
    "key_role": Text("Role", "角色"),
    "key_numbers": Text("Full numbers", "完整号码"),
    "key_numbers_full": Text("on request", "可申请显示"),
    "key_numbers_masked": Text("masked", "脱敏"),
    "key_numbers_hint": Text(
        "Allows seeing full phone numbers; every view is recorded.", "可查看完整号码，每次查看都会记录。"
    ),
    "key_create": Text("Create a key", "创建密钥"),
    "key_made": Text(
        "Key %s was created. Copy it now: it is shown only once.", "密钥 %s 已创建。请立即复制，之后将无法再次查看。"
    ),
    "key_revoke": Text("Revoke", "吊销"),
    "key_revoke_sure": Text("Everyone who uses %s loses access at once.", "使用 %s 的人将立即失去访问权限。"),
    "key_revoke_now": Text("Revoke it", "确认吊销"),
    "key_of_file": Text("in the file admin-key", "保存在 admin-key 文件中"),
    "done_key_revoked": Text("Key revoked.", "密钥已吊销。"),
    "key_not_made": Text("The key was not created", "密钥未创建"),
    # The audit log.
    "audit_title": Text("Audit log", "审计日志"),
    "audit_hint": Text(
        "Who viewed full numbers, exported, changed keys or endpoints, or replayed deliveries. Numbers are masked.",
        "谁查看过完整号码、导出过数据、更改过密钥或端点、重新投递过。其中的号码均已脱敏。",
    ),
    "audit_none": Text("Nothing recorded yet", "暂无记录"),
    "audit_actor": Text("Actor", "操作者"),
    "audit_action": Text("Action", "操作"),
    "audit_target": Text("Target", "对象"),
    "audit_by_command line": Text("command line", "命令行"),
    "audit_by_config file": Text("config file", "配置文件"),
    "audit_by_the gateway": Text("the gateway", "网关"),
    "audit_numbers_revealed": Text("Viewed full numbers", "查看完整号码"),
    "audit_number_erased": Text("Erased a number", "抹除号码"),
    "audit_exported": Text("Exported", "导出"),
    "audit_callbacks_imported": Text("Imported callbacks", "导入回调"),
    "audit_inbox_recorded": Text("Recorded an inbox", "补录收件箱"),
    "audit_ledger_copied": Text("Copied the ledger", "复制账本"),
    "audit_ledger_pruned": Text("Deleted old data", "删除过期数据"),
    "audit_key_created": Text("Created a key", "创建密钥"),
    "audit_key_revoked": Text("Revoked a key", "吊销密钥"),
    "audit_sign_in_link_created": Text("Created a sign-in link", "创建登录链接"),
    "audit_sign_in_link_used": Text("Signed in with a link", "通过链接登录"),
    # The gateway.
    "about_title": Text("This gateway", "本网关"),
    "about_version": Text("Version", "版本"),
    "about_data": Text("Data directory", "数据目录"),
    "about_zone": Text("Time zone", "时区"),
    "about_session": Text("Session length", "登录有效期"),
    "about_hours": Text("%s hours", "%s 小时"),
    "about_languages": Text("Languages", "语言"),
    "about_machine": Text("For machines", "机器接口"),
}
