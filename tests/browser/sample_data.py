"""What the console has to show: calls of every sort, deliveries that went well and that did not, junk."""

import json
import time
from collections.abc import Mapping

import httpx
from gateway import OK, Gateway, code, failure, key_press, prompt

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}${7*7}"
"""Text that would do something if any page took it for markup."""

ANSWERED, PRESSED, FAILED, HOSTILE_CALL, TWICE = "answered-00", "pressed-00", "failed-00", "hostile", "in-two-channels"
_REASONS = {1: "关机", 8: "空号", 11: "其他", 18: "网络忙"}


def fill(gateway: Gateway, tokens: Mapping[str, str]) -> None:
    """Post it all."""
    now = int(time.time())
    posts: list[tuple[bytes, str | None]] = []
    for n in range(70):
        times = {
            "start_calltime": str(now - 60),
            "accept_time": str(now - 50 + n % 9),
            "end_calltime": str(now - n % 30),
        }
        posts.append((prompt(f"answered-{n:02}", mobile=f"138{n:08}", fee=str(1 + (n == 3)), **times), None))
    unanswered = {"result": "1", "accept_time": "", "fee": "0"}
    posts += [(code(f"unanswered-{n}", mobile=f"186{n:08}", **unanswered), tokens["codes"]) for n in range(12)]
    for n, (number, reason) in enumerate(list(_REASONS.items()) * 3):
        reported = {"failure_code": number, "failure_reason": reason, "mobile": f"177{n:08}"}
        posts.append((failure(f"failed-{n:02}", **reported), tokens["alerts"]))
    posts += [(prompt(PRESSED), None), (key_press(PRESSED, "1"), None), (key_press(PRESSED, "#"), None)]
    posts += [(prompt(ANSWERED, mobile="13800000000", result="1", accept_time=""), None)]
    posts += [(prompt(TWICE), None), (prompt(TWICE), tokens["alerts"])]
    posts += [
        (prompt(HOSTILE_CALL, mobile=HOSTILE, call_from=HOSTILE, nationcode=HOSTILE[:60]), None),
        (key_press(HOSTILE_CALL, HOSTILE[:60], mobile=HOSTILE), None),
        (failure(HOSTILE_CALL, failure_reason=HOSTILE, mobile=HOSTILE), None),
        (prompt(HOSTILE), None),
    ]
    for body, token in posts:
        assert gateway.post(body, token).content == OK, body
    for junk in (b"{", json.dumps({"unknown": HOSTILE}).encode(), b"\xff\xfe\x00junk", b'{"voiceprompt_callback":{}}'):
        assert gateway.post(junk).status_code == 400
    for callid, said in ((ANSWERED, "order-1"), ("not-called-yet", "order-2"), (HOSTILE_CALL, HOSTILE)):
        _put(gateway, callid, {"reference": said, "metadata": {"note": said}})


def _put(gateway: Gateway, callid: str, said: object) -> None:
    httpx.put(
        f"{gateway.url}/v1/calls/{callid}?channel=default",
        json=said,
        headers={"Authorization": f"Bearer {gateway.key}"},
        trust_env=False,
    ).raise_for_status()
