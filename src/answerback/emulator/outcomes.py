"""What becomes of a call: by the last three digits of the number, as payment sandboxes do; pure.

The table is shown in docs/emulator.md, on the emulator's page and by `answerback emulate --numbers`.
"""

import random
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.models import Result


class CallbackOrder(StrEnum):
    """The callbacks that report the end of a call, in order."""

    STATUS = "status"
    FAILURE = "failure"
    STATUS_THEN_FAILURE = "status, then failure"
    FAILURE_THEN_STATUS = "failure, then status"
    TOGETHER = "status and failure at the same time"
    NOTHING = "nothing"


class CallScript(NamedTuple):
    """How a call goes. `ring_s` and `talk_s` are seconds of the cloud's clock; `keys` are pressed while talking.

    `early`: the first callback leaves before the send is answered.
    """

    result: Result = Result.ANSWERED
    ring_s: float = 8.0
    talk_s: float = 20.0
    keys: Sequence[str] = ()
    failure_code: int | None = None
    callback_order: CallbackOrder = CallbackOrder.STATUS
    early: bool = False


class ScriptRow(NamedTuple):
    ending: str
    script: CallScript
    en: str
    zh: str


_FAILED = CallScript(Result.UNANSWERED, talk_s=0.0, failure_code=5, callback_order=CallbackOrder.STATUS_THEN_FAILURE)

SCRIPT_ROWS: Sequence[ScriptRow] = (
    ScriptRow("000", CallScript(), "answered, 20 s", "接听，通话 20 秒"),
    ScriptRow(
        "001", CallScript(talk_s=75.0), "answered, 75 s: two minutes are billed", "接听，通话 75 秒，计费 2 分钟"
    ),
    ScriptRow("002", _FAILED._replace(ring_s=30.0), "not answered", "未接听"),
    ScriptRow("003", CallScript(Result.ERROR, ring_s=0.0, talk_s=0.0), "call error", "呼叫异常"),
    ScriptRow("004", CallScript(keys=("1",)), "answered, key 1 pressed", "接听，按键 1"),
    ScriptRow(
        "005", CallScript(keys=("1", "2", "#")), "answered, keys 1 2 # pressed, then hung up", "接听，按键 1 2 # 后挂断"
    ),
    ScriptRow(
        "006", _FAILED._replace(callback_order=CallbackOrder.STATUS), "not answered: status only", "未接听，只推送状态"
    ),
    ScriptRow(
        "007",
        _FAILED._replace(callback_order=CallbackOrder.FAILURE),
        "not answered: failure only",
        "未接听，只推送失败原因",
    ),
    ScriptRow("008", _FAILED, "not answered: status, then failure", "未接听，先推送状态，后推送失败原因"),
    ScriptRow(
        "009",
        _FAILED._replace(callback_order=CallbackOrder.FAILURE_THEN_STATUS),
        "not answered: failure, then status",
        "未接听，先推送失败原因，后推送状态",
    ),
    ScriptRow(
        "010",
        _FAILED._replace(callback_order=CallbackOrder.TOGETHER),
        "not answered: both at the same time",
        "未接听，状态与失败原因同时推送",
    ),
    ScriptRow(
        "011",
        CallScript(early=True),
        "answered; the callback comes before the send's own answer",
        "接听，回调先于发送接口的应答到达",
    ),
    ScriptRow(
        "012",
        CallScript(callback_order=CallbackOrder.NOTHING),
        "answered; no callback ever comes",
        "接听，但没有任何回调",
    ),
    *(
        ScriptRow(
            str(100 + code),
            _FAILED._replace(failure_code=code),
            f"fails with code {code}, {reason.en}",
            f"失败，原因 {code}（{reason.zh}）",
        )
        for code, reason in FAILURE_REASONS.items()
    ),
)
"""Endings of three digits, and what they do."""

_BY_ENDING = {row.ending: row.script for row in SCRIPT_ROWS}

SHARES: Mapping[str, float] = {"000": 0.70, "004": 0.08, "002": 0.12, "102": 0.04, "101": 0.04, "003": 0.02}
"""How often numbers without an ending of the table go which way."""


def choose_script(mobile: str, shares: Mapping[str, float], chance: random.Random) -> CallScript:
    """How a call to `mobile` goes: by its ending, or else by chance, `shares` weighing the table's endings."""
    known = _BY_ENDING.get(mobile[-3:])
    if known is not None:
        return known
    (ending,) = chance.choices(list(shares), list(shares.values()))
    return _BY_ENDING[ending]
