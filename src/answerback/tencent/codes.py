"""The numbers of our answers.

Source: "Voice Notification Status Callback", product 1128.
"""

from enum import IntEnum


class ResponseCode(IntEnum):
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
    INVALID_FIELD = 3004
    TOO_SLOW = 3011
