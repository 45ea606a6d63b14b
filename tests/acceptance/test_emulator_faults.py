"""Whatever the faults: when the cloud is done, the ledger equals what the emulator says happened."""

import random
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cloud import VoiceCloud, signed
from gateway import CALLBACK, Gateway

from answerback.domain.models import Result
from answerback.emulator.outcomes import SCRIPT_ROWS, CallbackOrder, CallScript, ScriptRow

CALLS = 60
RANDOM = "7226249334"
TIMES = ("started_at", "answered_at", "ended_at")
SAME = ("outcome", "result", "failure_code", "fee_minutes")

FAIR: dict[str, Any] = {"instant": True}
STORM: dict[str, Any] = {
    "duplicates": 0.4,
    "reorders": 0.4,
    "delays": 0.4,
    "ints": 0.5,
    "missing_accept_time": 0.4,
    "empty_accept_time": 0.4,
    "content_types": 0.5,
    "boms": 0.3,
    "chunked": 0.3,
    "drops": 0.3,
}
PROFILES: dict[str, dict[str, Any]] = {
    "fair": FAIR,
    "storm": STORM | {"instant": True},
    "storm in time": STORM | {"speed": 40},
    "everything": dict.fromkeys(STORM, 1.0) | {"instant": True},
    "lost": {"instant": True, "drops": 0.5, "duplicates": 0.2, "retries": 0},
}


@pytest.mark.parametrize(("name", "seed"), [(name, seed) for seed, name in enumerate(PROFILES)])
def test_the_ledger_equals_what_happened(gateway: Gateway, tmp_path: Path, name: str, seed: int) -> None:
    """Sixty calls of the table: outcome, result, code, keys, times and fee of each, and every callback counted once."""
    chance = random.Random(seed)
    rows = [chance.choice(SCRIPT_ROWS) for _ in range(CALLS)]
    with VoiceCloud(tmp_path, gateway.url + CALLBACK, seed=seed, **PROFILES[name]) as cloud:
        placed = {place(cloud, row, f"138{number:05}{row.ending}", chance): row for number, row in enumerate(rows)}
        cloud.await_finished()
        reported = {call["callid"]: call for call in cloud.calls()}
    assert reported.keys() == placed.keys()
    assert [one["callid"] for one in reported.values() if not one["finished"]] == []
    differences = [problem for call in reported.values() for problem in differing(gateway, call)]
    assert differences == []
    if name != "lost":
        assert {callid: call["outcome"] for callid, call in reported.items()} == {
            callid: outcome_of(row.script) for callid, row in placed.items()
        }
    befell(name, [post for call in reported.values() for post in call["callbacks"]])


def place(cloud: VoiceCloud, row: ScriptRow, mobile: str, chance: random.Random) -> str:
    """Have a number called, with a notification or a code: the callid."""
    assert mobile.endswith(row.ending)
    operation, fields = chance.choice([("sendvoiceprompt", {}), ("sendcvoice", {"msg": "5678"})])
    said = cloud.post(operation, signed(mobile) | fields)
    assert said["result"] == 0, said
    return str(said["callid"])


def differing(gateway: Gateway, call: dict[str, Any]) -> list[str]:
    """What the ledger and the emulator say differently about a call."""
    accepted = [post for post in call["callbacks"] if post["error"] is None]
    path = f"/v1/calls/{call['callid']}"
    if not accepted:
        status = gateway.get(path).status_code
        return [] if status == 404 else [f"{call['mobile']}: {status}, though nothing was told"]
    record = gateway.call(call["callid"])
    pairs = [(name, record[name], call[name]) for name in SAME]
    pairs += [(name, moment(record[name]), moment(call[name])) for name in TIMES]
    pairs.append(("keys", Counter(record["keys"]), Counter(call["keys"])))
    stored = sum(1 + one["duplicates"] for one in gateway.items(f"{path}/callbacks"))
    pairs.append(("callbacks", stored, len(accepted)))
    return [f"{call['mobile']} {name}: ledger {ours}, cloud {theirs}" for name, ours, theirs in pairs if ours != theirs]


def moment(text: str | None) -> datetime | None:
    """A time, however it is written."""
    return None if text is None else datetime.fromisoformat(text)


def outcome_of(course: CallScript) -> str:
    """What is known in the end of a call that went this way, where nothing was lost."""
    if course.callback_order is CallbackOrder.NOTHING:
        return "pending"
    if course.callback_order is CallbackOrder.FAILURE:
        return "failed"
    return {Result.ANSWERED: "answered", Result.UNANSWERED: "unanswered", Result.ERROR: "failed"}[course.result]


def befell(name: str, posts: list[dict[str, Any]]) -> None:
    """The faults were there: not one run went without."""
    failed = [post for post in posts if post["error"] is not None]
    again = Counter((post["body"].lstrip("\ufeff")) for post in posts if post["error"] is None)
    if name == "fair":
        assert failed == []
        assert max(again.values()) == 1
        return
    assert failed
    assert all("dropped half-way" in post["error"] for post in failed)
    assert max(again.values()) == 2
    if name == "lost":
        assert {post["attempt"] for post in posts} == {1}
    else:
        assert {post["attempt"] for post in posts} == {1, 2}
        assert any(post["body"].startswith("\ufeff") for post in posts)
        statuses = [post["body"] for post in posts if post["kind"] in ("prompt", "code")]
        assert any('"accept_time":""' in body or '"accept_time"' not in body for body in statuses)
