from answerback.domain.failure_reasons import FAILURE_REASONS, UNSPECIFIED_REASON
from answerback.tencent.codes import ResponseCode

LISTED = {
    1: "关机",
    2: "通话中",
    3: "不在服务区",
    4: "欠费",
    5: "无人接听",
    6: "暂时无法接通",
    7: "停机",
    8: "空号",
    9: "电路正忙",
    10: "用户正忙",
    11: "其他原因",
    12: "呼叫受限",
    13: "号码已暂停服务",
    15: "号码不存在",
    16: "来电提醒",
    17: "号码已过期",
    18: "网络忙",
    19: "未开通语音通话功能",
    20: "无应答",
    22: "系统正忙",
    23: "加拨零",
    24: "已改号",
    25: "未开通联通秘书服务",
    26: "来电助手",
    27: "暂时无法接通",
    28: "漏话提醒服务",
    29: "留言信箱",
    30: "号码有误",
    31: "不在使用中",
}


def test_every_failure_code_of_the_vendor_s_table() -> None:
    """All codes are there in the vendor's own words, and no others: 14 and 21 do not exist."""
    assert {code: reason.zh for code, reason in FAILURE_REASONS.items()} == LISTED


def test_every_failure_code_has_english_words() -> None:
    """Each code is explained in English, in ASCII; only codes of one Chinese text share one."""
    words = {reason.zh: reason.en for reason in FAILURE_REASONS.values()}
    assert all(en and en.isascii() for en in words.values())
    assert len(set(words.values())) == len(words)


def test_other_is_one_of_the_codes() -> None:
    """The code that says nothing is 11."""
    assert FAILURE_REASONS[UNSPECIFIED_REASON].zh == "其他原因"


def test_what_is_answered_has_the_vendor_s_numbers() -> None:
    """The results of our answers, fixed: receivers' monitors key on them."""
    assert {answered.name: answered.value for answered in ResponseCode} == {
        "OK": 0,
        "UNKNOWN_CALLBACK": 1011,
        "UNKNOWN_CHANNEL": 1019,
        "WRONG_METHOD": 1030,
        "TOO_LARGE": 1036,
        "UNAVAILABLE": 3002,
        "NOT_JSON": 3003,
        "INVALID_FIELD": 3004,
        "TOO_SLOW": 3011,
    }
