"""The vendor's numbers: what we answer, and why a call failed.

Source: "Voice Notification Status Callback" and "Voice Failure Callback", product 1128.
"""

from enum import IntEnum
from typing import NamedTuple


class Answered(IntEnum):
    """`result` of an answer to a callback: 0 is taken, anything else is not.

    The numbers are the ones the vendor's API 2.0 uses for the same faults.
    """

    OK = 0
    UNKNOWN_CALLBACK = 1011
    UNKNOWN_CHANNEL = 1019
    WRONG_METHOD = 1030
    TOO_LARGE = 1036
    UNAVAILABLE = 3002
    NOT_JSON = 3003
    UNFIT_FIELD = 3004
    TOO_SLOW = 3011


class Reason(NamedTuple):
    """Why a call could not be delivered, in the vendor's Chinese and in English."""

    zh: str
    en: str


OTHER_REASON = 11

FAILURE_REASONS: dict[int, Reason] = {
    1: Reason("关机", "powered off"),
    2: Reason("通话中", "in a call"),
    3: Reason("不在服务区", "out of the service area"),
    4: Reason("欠费", "account in arrears"),
    5: Reason("无人接听", "nobody picked up"),
    6: Reason("暂时无法接通", "temporarily unreachable"),
    7: Reason("停机", "service suspended"),
    8: Reason("空号", "number not in service"),
    9: Reason("电路正忙", "circuit busy"),
    10: Reason("用户正忙", "user busy"),
    OTHER_REASON: Reason("其他原因", "other reason"),
    12: Reason("呼叫受限", "call barred"),
    13: Reason("号码已暂停服务", "number temporarily out of service"),
    15: Reason("号码不存在", "number does not exist"),
    16: Reason("来电提醒", "incoming-call reminder service"),
    17: Reason("号码已过期", "number expired"),
    18: Reason("网络忙", "network busy"),
    19: Reason("未开通语音通话功能", "voice calls not enabled"),
    20: Reason("无应答", "no answer from the network"),
    22: Reason("系统正忙", "system busy"),
    23: Reason("加拨零", "a leading zero must be dialled"),
    24: Reason("已改号", "number has changed"),
    25: Reason("未开通联通秘书服务", "Unicom secretary service not enabled"),
    26: Reason("来电助手", "incoming-call assistant"),
    27: Reason("暂时无法接通", "temporarily unreachable"),
    28: Reason("漏话提醒服务", "missed-call reminder service"),
    29: Reason("留言信箱", "voice mailbox"),
    30: Reason("号码有误", "number is wrong"),
    31: Reason("不在使用中", "number not in use"),
}
"""Every failure code the vendor lists (14 and 21 do not exist); an unlisted code is kept as it comes."""
