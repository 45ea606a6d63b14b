"""Rules about callbacks of one call, repeats and many at a time."""

from answerback.emulator.conformance import fixes
from answerback.emulator.conformance.scenarios import Rule, SendMode, key_then_status, numbered, of_one_call, taken

_BURST = 50
_AT_ONCE = 8

ORDER = (
    Rule(
        "status-then-failure",
        "a call's status, then its failure",
        "同一呼叫先状态后失败原因",
        fixes.ORDER,
        of_one_call(lambda calls, callid: (calls.unanswered(callid), calls.failure(callid))),
    ),
    Rule(
        "failure-then-status",
        "a call's failure, then its status",
        "同一呼叫先失败原因后状态",
        fixes.ORDER,
        of_one_call(lambda calls, callid: (calls.failure(callid), calls.unanswered(callid))),
    ),
    Rule(
        "status-with-failure",
        "a call's status and failure at the same time",
        "同一呼叫的状态与失败原因同时到达",
        fixes.ORDER,
        of_one_call(lambda calls, callid: (calls.unanswered(callid), calls.failure(callid))),
        SendMode.AT_ONCE,
    ),
    Rule(
        "key-before-status",
        "a call's key presses before its status",
        "按键先于状态到达",
        fixes.ORDER,
        of_one_call(key_then_status),
    ),
    Rule(
        "repeat",
        "the same callback three times",
        "同一回调发送三次",
        fixes.REPEAT,
        lambda calls: [taken(calls.status())] * 3,
    ),
    Rule(
        "repeat-at-once",
        "the same callback 8 times at the same time",
        "同一回调同时发送 8 次",
        fixes.REPEAT,
        lambda calls: [taken(calls.status())] * _AT_ONCE,
        SendMode.AT_ONCE,
    ),
    Rule(
        "revision",
        "the same callid with other content",
        "callid 相同而内容不同",
        fixes.REVISION,
        of_one_call(
            lambda calls, callid: (calls.unanswered(callid), calls.status(callid), calls.status(callid, fee="2"))
        ),
    ),
    Rule(
        "burst",
        "50 callbacks at the same time",
        "50 个回调同时到达",
        fixes.BURST,
        lambda calls: [taken(calls.status(), numbered(n)) for n in range(1, _BURST + 1)],
        SendMode.AT_ONCE,
    ),
)
