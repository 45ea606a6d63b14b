"""The fixture, as somebody who tests a program of theirs uses it."""

import hashlib
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from answerback import parse
from answerback.emulator.faults import FaultProfile
from answerback.emulator.limits import Limits
from answerback.emulator.testing import VoiceCloud

OK = {"result": 0, "errmsg": "OK"}


def send(cloud: VoiceCloud, mobile: str) -> dict[str, Any]:
    """A notification by API 2.0; the answer."""
    now = int(time.time())
    signed = f"appkey={cloud.app_key}&random=17&time={now}&mobile={mobile}"
    body = {
        "tel": {"nationcode": "86", "mobile": mobile},
        "prompttype": 2,
        "promptfile": "disk full",
        "playtimes": 2,
        "sig": hashlib.sha256(signed.encode()).hexdigest(),
        "time": now,
    }
    url = f"{cloud.url}/v5/tlsvoicesvr/sendvoiceprompt?sdkappid={cloud.app_id}&random=17"
    answer: dict[str, Any] = httpx.post(url, json=body, trust_env=False, verify=False).json()
    return answer


def test_a_call_lives_to_its_end_in_no_time(voice_cloud: VoiceCloud) -> None:
    """Eighty of the cloud's seconds pass at once; the callbacks say what happened."""
    reported: list[bytes] = []

    def receive(body: bytes) -> dict[str, Any]:
        reported.append(body)
        return OK

    voice_cloud.deliver_to(receive)
    callid = send(voice_cloud, "13800138005")["callid"]
    assert voice_cloud.call(callid).outcome == "pending"
    began_s = time.monotonic()
    (call,) = voice_cloud.finish()
    assert time.monotonic() - began_s < 20
    assert (call.callid, call.outcome, call.keys) == (callid, "answered", ["1", "2", "#"])
    assert [parse(body).callid for body in reported] == [callid] * 4
    assert len(call.callbacks) == 4


def test_time_stands_still_until_it_is_moved(voice_cloud: VoiceCloud) -> None:
    """Ringing after two seconds, nobody has answered; after half a minute it is over."""
    reported: list[bytes] = []
    voice_cloud.deliver_to(lambda body: reported.append(body) or OK)  # type: ignore[func-returns-value]
    callid = send(voice_cloud, "13800138000")["callid"]
    voice_cloud.advance(2)
    assert [step.what for step in voice_cloud.call(callid).steps] == ["dialled", "ringing"]
    assert reported == []
    voice_cloud.advance(30)
    assert voice_cloud.call(callid).outcome == "answered"
    assert len(reported) == 1


def test_a_program_whose_clock_was_not_moved_may_send(voice_cloud: VoiceCloud) -> None:
    """Hours later by the cloud's clock, a signature of the program's own time still fits; the call is of the later time."""
    voice_cloud.deliver_to(lambda _: OK)
    earlier = send(voice_cloud, "13800138000")["callid"]
    voice_cloud.advance(7200)
    later = send(voice_cloud, "13800138000")["callid"]
    voice_cloud.finish()
    began = [voice_cloud.call(callid).started_at for callid in (earlier, later)]
    assert began[0] is not None
    assert began[1] == began[0] + timedelta(hours=2)


@pytest.mark.parametrize(
    "answer",
    [
        {"result": 1, "errmsg": "no"},
        b"<html>",
        None,
        object(),
        '{"result":"\ud800"}',
        ValueError("broken"),
        pytest.fail.Exception("not this one"),
        SystemExit(1),
    ],
    ids=["refused", "HTML", "None", "an object", "half a surrogate", "an error", "pytest.fail", "exit"],
)
def test_a_callback_that_is_not_taken_comes_again(voice_cloud: VoiceCloud, answer: object) -> None:
    """Twice more, as documented for the sibling product; whatever was wrong is there to be read."""

    def receive(_: bytes) -> object:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    voice_cloud.deliver_to(receive)
    send(voice_cloud, "13800138000")
    (call,) = voice_cloud.finish()
    assert [post.attempt for post in call.callbacks] == [1, 2, 3]
    assert all(post.error for post in call.callbacks)
    assert call.outcome == "pending"


def test_the_schedule_of_retries_can_be_chosen() -> None:
    """Each attempt comes after its delay, the last of which is repeated."""
    with VoiceCloud(faults=FaultProfile(retries=3, retry_delays_s=(60, 300))) as cloud:
        cloud.deliver_to(lambda _: {"result": 1, "errmsg": "not yet"})
        callid = send(cloud, "13800138000")["callid"]
        cloud.advance(30)  # it has ended, and its status was sent once
        attempts = []
        for seconds in (59, 1, 299, 1, 299, 1, 10_000):
            cloud.advance(seconds)
            attempts.append(len(cloud.call(callid).callbacks))
    assert attempts == [1, 2, 2, 3, 3, 4, 4]


def test_an_early_callback_that_is_not_taken_does_not_hold_up_the_send(voice_cloud: VoiceCloud) -> None:
    """It comes before the send's answer, once; the attempts after that are the clock's."""
    voice_cloud.deliver_to(lambda _: {"result": 1, "errmsg": "not yet"})
    callid = send(voice_cloud, "13800138011")["callid"]
    assert [post.attempt for post in voice_cloud.call(callid).callbacks] == [1]
    voice_cloud.deliver_to(lambda _: OK)
    (call,) = voice_cloud.finish()
    assert [(post.attempt, post.error is None) for post in call.callbacks] == [(1, False), (2, True)]
    assert call.outcome == "answered"


def test_the_faults_and_the_limits_can_be_chosen() -> None:
    """Every callback twice, and a second call to a number refused."""
    reported: list[bytes] = []
    with VoiceCloud(faults=FaultProfile(duplicates=1.0), limits=Limits(per_night=None)) as cloud:
        cloud.deliver_to(lambda body: reported.append(body) or OK)  # type: ignore[func-returns-value]
        assert send(cloud, "13800138000")["result"] == 0
        assert send(cloud, "13800138000")["result"] == 1013
        cloud.finish()
    assert len(reported) == 2
    assert reported[0] == reported[1]


def test_the_fixture_is_there_for_whoever_installs_the_package(tmp_path: Path, bare_pytest: list[str | Path]) -> None:
    """`voice_cloud` by name, in a test of somebody's own."""
    (tmp_path / "test_theirs.py").write_text(
        "def test_theirs(voice_cloud):\n    assert voice_cloud.finish() == []\n    assert voice_cloud.url.startswith('http')\n"
    )
    done = subprocess.run(
        [*bare_pytest, "test_theirs.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
