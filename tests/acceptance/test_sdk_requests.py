"""What every SDK puts on the wire, byte for byte as it was recorded, and the answer that it reads."""

import asyncio
import http.client
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from builders import PAYLOADS

from answerback.emulator.cloud import Cloud, EmulatedCall
from answerback.emulator.limits import NO_LIMITS
from answerback.emulator.serving import BackgroundCloud
from answerback.emulator.settings import EmulatorSettings

SDKS = PAYLOADS / "sdks"
DOCS = PAYLOADS.parents[1] / "docs"
RECORDED: list[dict[str, Any]] = json.loads((SDKS / "index.json").read_text(encoding="utf-8"))
BY_FILE = {one["file"]: one for one in RECORDED}


class FrozenClock:
    """Stands still where it is put, so that no call goes on."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now_s(self) -> float:
        """Unix time."""
        return self.at_s

    signing_time_s = now_s

    async def wait(self, seconds: float) -> None:
        """Wait for good."""
        del seconds
        await asyncio.Event().wait()


class RecordedTraffic:
    """An emulator that requests are played to, each at the time when it was recorded."""

    def __init__(self) -> None:
        self._clock = FrozenClock()
        self._background = BackgroundCloud(self._make)
        self.cloud = self._background.start()
        self.stop = self._background.stop

    def _make(self) -> Cloud:
        return Cloud(EmulatorSettings().account(), self._clock, limits=NO_LIMITS)

    def play(self, file: str) -> tuple[int, str, Any]:
        """Send a recorded request: status, Content-Type and body of the answer."""
        recorded = BY_FILE[file]
        if before := recorded.get("needs_before"):
            self.play(before)
        self._clock.at_s = recorded["recorded_at"]
        host, port = self._background.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall((SDKS / file).read_bytes())
            response = http.client.HTTPResponse(connection)
            response.begin()
            return response.status, response.getheader("Content-Type", ""), json.loads(response.read())

    def call(self, callid: str) -> EmulatedCall:
        """A call that was placed."""
        return self.cloud.calls[callid]


@pytest.fixture(scope="module")
def traffic() -> Iterator[RecordedTraffic]:
    """One emulator for all requests."""
    running = RecordedTraffic()
    yield running
    running.stop()


def value_at(answer: Any, path: str) -> Any:
    """The value that a path like `Response.RequestId` names."""
    for name in path.split("."):
        answer = answer[name]
    return answer


def test_every_recorded_request_is_listed() -> None:
    """The index has each file once."""
    assert sorted(BY_FILE) == sorted(file.name for file in SDKS.glob("*.http"))
    assert len(RECORDED) == len(BY_FILE) == 61


@pytest.mark.parametrize("page", ["emulator.md", "emulator.zh-CN.md"])
def test_the_documents_name_every_sdk_that_was_recorded(page: str) -> None:
    """By its version, as a part of a table's row."""
    tried = re.findall(r"\| ([^|\n]+) (?=\|)", (DOCS / page).read_text(encoding="utf-8"))
    recorded = {one["version"].partition(" (")[0].removeprefix("v") for one in RECORDED}
    assert recorded - {version for cell in tried for version in cell.split(", ")} == set()


@pytest.mark.parametrize("file", BY_FILE)
def test_a_recorded_request_is_answered(traffic: RecordedTraffic, file: str) -> None:
    """Each SDK's request is understood as the SDK meant it; what its own fault makes unverifiable is refused."""
    recorded = BY_FILE[file]
    expected = recorded["answers"]
    status, content_type, answer = traffic.play(file)
    assert (status, content_type) == (200, "application/json")
    if code := expected.get("Code"):
        assert answer["Response"]["Error"]["Code"] == code
        assert "PHP has signed the word Array" in answer["Response"]["Error"]["Message"]
        return
    for path in expected["holds"]:
        assert value_at(answer, path) not in (None, ""), answer
    if recorded["api"] == "2.0":
        assert answer["result"] == expected["result"]
    wanted = recorded.get("asks_for")
    if wanted is None:
        return
    sent = answer if recorded["api"] == "2.0" else answer["Response"]["SendStatus"]
    call = traffic.call(sent["callid"] if recorded["api"] == "2.0" else sent["CallId"]).request
    echoed = sent["ext"] if recorded["api"] == "2.0" else sent["SessionContext"]
    assert echoed == call.session_context == wanted["ext"]
    names = ("kind", "nationcode", "mobile", "plays")
    assert {name: getattr(call, name) for name in names} == {name: wanted[name] for name in names}
    assert call.text == spoken(wanted)


def spoken(wanted: dict[str, Any]) -> str:
    """What is to be said: a text, a template with its parameters, or a file."""
    if "template" in wanted:
        return EmulatorSettings().applications["1400000001"].templates[wanted["template"]].format("", *wanted["params"])
    return str(wanted["text"]) if "text" in wanted else f"[{wanted['fid']}]"
