"""Why a call failed, by the vendor's code.

Source: "Voice Failure Callback", product 1128.
"""

from typing import NamedTuple


class FailureReason(NamedTuple):
    """Why a call could not be delivered, in the vendor's Chinese and in English."""

    zh: str
    en: str


UNSPECIFIED_REASON = 11

FAILURE_REASONS: dict[int, FailureReason] = {
    1: FailureReason("关机", "powered off"),
    2: FailureReason("通话中", "in a call"),
    3: FailureReason("不在服务区", "out of the service area"),
    4: FailureReason("欠费", "account in arrears"),
    5: FailureReason("无人接听", "nobody picked up"),
    6: FailureReason("暂时无法接通", "temporarily unreachable"),
    7: FailureReason("停机", "service suspended"),
    8: FailureReason("空号", "number not in service"),
    9: FailureReason("电路正忙", "circuit busy"),
    10: FailureReason("用户正忙", "user busy"),
    UNSPECIFIED_REASON: FailureReason("其他原因", "other reason"),
    12: FailureReason("呼叫受限", "call barred"),
    13: FailureReason("号码已暂停服务", "number temporarily out of service"),
    15: FailureReason("号码不存在", "number does not exist"),
    16: FailureReason("来电提醒", "incoming-call reminder service"),
    17: FailureReason("号码已过期", "number expired"),
    18: FailureReason("网络忙", "network busy"),
    19: FailureReason("未开通语音通话功能", "voice calls not enabled"),
    20: FailureReason("无应答", "no answer from the network"),
    22: FailureReason("系统正忙", "system busy"),
    23: FailureReason("加拨零", "a leading zero must be dialled"),
    24: FailureReason("已改号", "number has changed"),
    25: FailureReason("未开通联通秘书服务", "Unicom secretary service not enabled"),
    26: FailureReason("来电助手", "incoming-call assistant"),
    27: FailureReason("暂时无法接通", "temporarily unreachable"),
    28: FailureReason("漏话提醒服务", "missed-call reminder service"),
    29: FailureReason("留言信箱", "voice mailbox"),
    30: FailureReason("号码有误", "number is wrong"),
    31: FailureReason("不在使用中", "number not in use"),
}
"""Every failure code the vendor lists (14 and 21 do not exist); an unlisted code is kept as it comes."""
