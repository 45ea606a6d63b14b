"""What to do about it."""

from answerback.i18n import Text

ANSWER = Text(
    'Answer {"result":0,"errmsg":"OK"}: `result` is a number, `errmsg` a string, both are required.',
    '应答 {"result":0,"errmsg":"OK"}：result 为数字，errmsg 为字符串，二者必填。',
)
REFUSAL = Text(
    'Refuse by the contract: a `result` other than 0, and why in `errmsg`, e.g. 400 {"result":3003,"errmsg":"not JSON"}.',
    '按约定拒绝：result 非 0，errmsg 写明原因，例如 400 {"result":3003,"errmsg":"not JSON"}。',
)
CONTENT_TYPE = Text(
    "Send `Content-Type: application/json` with the answer.", "应答应带上 Content-Type: application/json。"
)
SLOW = Text("Store the callback, answer, and do the work afterwards.", "先保存回调并应答，再做后续处理。")
ALIVE = Text(
    "Keep accepting connections; see whether a request before this one brought the server down.",
    "保持接受连接；检查服务是否被之前的请求弄垮。",
)
EXACT_URL = Text(
    "Give the URL exactly as it is served, often with or without a slash at its end: redirects are not followed.",
    "URL 须与服务的路径完全一致（常见于末尾斜杠）：重定向不会被跟随。",
)
SENDERS_FAULT = Text(
    "Check before you use it: what is wrong with the request is a 4xx, a 5xx says that it is worth trying again.",
    "使用前先校验：请求本身有误应答 4xx，5xx 表示值得重试。",
)
KINDS = Text(
    "Look which of the four keys the object has, and take each: voiceprompt_callback, voicecode_callback, "
    "voicekey_callback, voice_failure_callback.",
    "判断对象含有四个键中的哪一个，且四种都要接受：voiceprompt_callback、voicecode_callback、voicekey_callback、"
    "voice_failure_callback。",
)
RESULTS = Text(
    "Take every `result`: 0 answered, 1 not answered, 2 call error.",
    "result 的每个取值都要接受：0 接听，1 未接听，2 呼叫异常。",
)
EXAMPLE = Text(
    "Keep `mobile` and `callid` as text, and let `call_from` be empty.",
    "mobile 与 callid 按文本保存，call_from 可以为空。",
)
JSON = Text(
    r"Use a JSON parser: white space, the order of fields and \u escapes are free.",
    r"使用 JSON 解析器：空白、字段顺序与 \u 转义均不固定。",
)
UNANSWERED = Text(
    'Where nobody answered, take accept_time and fee missing, "", "0", 0 or null as not known.',
    '无人接听时，accept_time 与 fee 缺失、为 ""、"0"、0 或 null，都视为未知。',
)
NUMBERS = Text('Take a number for its digits: 86 is "86".', '数字与其文本等同：86 即 "86"。')
EXTRA = Text("Ignore the fields that you do not know.", "忽略不认识的字段。")
MEDIA_TYPE = Text(
    "Parse the body as JSON, whatever its Content-Type.", "不论 Content-Type 为何，都按 JSON 解析请求体。"
)
BOM = Text("Drop a UTF-8 byte order mark (EF BB BF) before you parse.", "解析前去掉 UTF-8 的 BOM（EF BB BF）。")
WHOLE_BODY = Text(
    "Read the body to its end: one read is not all of it, and there may be no Content-Length.",
    "把请求体读完：一次读取未必是全部，也可能没有 Content-Length。",
)
CALLID = Text("Keep callid as text, whatever its form.", "callid 按文本保存，不限格式。")
REASON = Text(
    "Decide by failure_code, keep one that is not listed, and never compare failure_reason.",
    "以 failure_code 判断，未列出的也要保留，不要比较 failure_reason 的文字。",
)
KEEP_ALIVE = Text(
    "Keep the connection open for the next callback; where it must close, say `Connection: close` before.",
    "保持连接供下一个回调使用；如需断开，先在应答中声明 Connection: close。",
)
ORDER = Text(
    "Make the call's record with whichever callback comes first, and let the others add to it, also at the same time.",
    "先到的回调建立记录，后到的（也可能同时到）补充它。",
)
REPEAT = Text(
    "Answer a repeat with OK and store it once, also where both come at the same time (insert ... on conflict).",
    "重复的回调应答 OK 且只保存一次，同时到达时也一样（insert ... on conflict）。",
)
REVISION = Text(
    "Take what differs as news about the call; callid alone is not a unique key of callbacks.",
    "内容不同即为该呼叫的新消息；callid 本身不是回调的唯一键。",
)
BURST = Text(
    "Store more in one commit, and let no request wait long for a database connection.",
    "一次提交保存多条，不要让请求长时间等待数据库连接。",
)
POST = Text("Refuse every method but POST, with 405.", "拒绝 POST 以外的方法，应答 405。")
SIZE = Text(
    "Bound the body, e.g. to 64 KiB, answer 413 to what is larger, and keep serving.",
    "限制请求体大小（例如 64 KiB），更大的应答 413，并继续服务。",
)
DROPPED = Text("Forget a request that did not come whole, and keep serving.", "丢弃未传完的请求，并继续服务。")
