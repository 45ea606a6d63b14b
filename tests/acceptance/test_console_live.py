"""The live view: what happens is shown as it happens, to each who looks, and it ends when the gateway does."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from console_client import ConsoleClient, make_key, signed_in
from gateway import Gateway, failure, prompt
from receivers.process import await_true

from answerback.feed.activity_feed import HEARTBEAT_S

TOKEN = "tok-live-4Kd83hQz1Xy"
MOBILE, MASKED = "13912345678", "139****5678"
VIEWERS = 8


class Events:
    """An open stream of events."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.iter_lines()
        self.last_id = ""

    def next(self) -> dict[str, Any]:
        """The next event's data."""
        for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "id":
                self.last_id = value
            if name == "data":
                data: dict[str, Any] = json.loads(value)
                return data
        raise AssertionError("the stream ended")

    def lines(self, count: int) -> list[dict[str, Any]]:
        """So many happenings, in as many events as it takes."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            found += self.next()["items"]
        return found

    def await_end(self) -> None:
        """Read to the end."""
        for _ in self._lines:
            pass


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with two channels."""
    home = tmp_path_factory.mktemp("live")
    config = home / "channels.toml"
    config.write_text(f'[channels.live]\ntoken = "{TOKEN}"\n')
    with Gateway(home / "data", options=["--config", config]) as running:
        yield running


@pytest.fixture(scope="module")
def person(gateway: Gateway) -> Iterator[ConsoleClient]:
    """Somebody who may look, and sees masked numbers."""
    with signed_in(gateway, make_key(gateway, "looker", "viewer")) as looker:
        yield looker


@contextmanager
def watching(person: ConsoleClient, last_id: str = "", **query: str) -> Iterator[Events]:
    """Look on, as a browser's EventSource does."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    with person.client.stream("GET", "/console/live/events", params=query, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Events(answer)


def test_a_callback_is_shown_as_it_comes(gateway: Gateway, person: ConsoleClient, callid: str) -> None:
    """Within moments, with the number masked and a link to its call."""
    with watching(person) as events:
        began_s = time.monotonic()
        gateway.post(prompt(f"{callid}/live", mobile=MOBILE))
        (line,) = events.lines(1)
        assert time.monotonic() - began_s < HEARTBEAT_S  # with that it would come at the latest
    assert (line["callee"], line["kind"], line["outcome"]) == (MASKED, "prompt", "answered")
    assert line["href"] == f"/console/calls/{callid}/live?channel=default"
    assert MOBILE not in json.dumps(line)


def test_every_subscriber_gets_the_same(gateway: Gateway, person: ConsoleClient, callid: str) -> None:
    """Two who look see the same, each from when they came."""
    with watching(person) as first:
        gateway.post(prompt(f"{callid}-one", mobile=MOBILE))
        assert len(first.lines(1)) == 1
        with signed_in(gateway) as other, watching(other) as second:
            gateway.post(prompt(f"{callid}-two", mobile=MOBILE))
            assert [line["href"] for line in first.lines(1)] == [line["href"] for line in second.lines(1)]


def test_a_channel_is_shown_alone(gateway: Gateway, person: ConsoleClient, callid: str) -> None:
    """Who looks at one channel does not see another."""
    with watching(person, channel="live") as events:
        gateway.post(prompt(f"{callid}-other", mobile=MOBILE))
        gateway.post(failure(f"{callid}-mine", mobile=MOBILE), TOKEN)
        (line,) = events.lines(1)
    assert line["channel"] == "live"


def test_who_comes_back_misses_nothing(gateway: Gateway, person: ConsoleClient, callid: str) -> None:
    """The last event's id says from where on; nothing comes twice."""
    with watching(person) as events:
        gateway.post(prompt(f"{callid}-before", mobile=MOBILE))
        events.lines(1)
    gateway.post(prompt(f"{callid}-meanwhile", mobile=MOBILE))
    with watching(person, events.last_id) as events:
        (line,) = events.lines(1)
        assert f"{callid}-meanwhile" in line["href"]
        gateway.post(prompt(f"{callid}-after", mobile=MOBILE))
        (line,) = events.lines(1)
        assert f"{callid}-after" in line["href"]


def test_what_comes_too_fast_is_counted(gateway: Gateway, person: ConsoleClient, callid: str) -> None:
    """Of a flood the newest are shown, and how many were not."""
    with watching(person) as events:
        gateway.post(prompt(f"{callid}-start", mobile=MOBILE))
        events.lines(1)
    for number in range(150):
        gateway.post(prompt(f"{callid}-flood-{number}", mobile=MOBILE))
    with watching(person, events.last_id) as events:
        news = events.next()
    assert news["skipped"] == 50
    assert len(news["items"]) == 100
    assert f"{callid}-flood-149" in news["items"][-1]["href"]


@pytest.mark.parametrize("place", ["", "x", "1", "1-2-3", "-1--1", "9" * 40 + "-1", "99999999-99999999"])
def test_a_place_that_is_none_is_now(gateway: Gateway, person: ConsoleClient, callid: str, place: str) -> None:
    """Whatever a browser sends as its last id, the stream begins."""
    gateway.post(prompt(f"{callid}-before", mobile=MOBILE))
    with watching(person, place) as events:
        gateway.post(prompt(f"{callid}-after", mobile=MOBILE))
        (line,) = events.lines(1)
    assert f"{callid}-after" in line["href"]


def test_the_page_shows_what_was_last(gateway: Gateway, person: ConsoleClient, callid: str) -> None:
    """Without a script, too: the newest on top, and a link that has the page refresh itself."""
    gateway.post(prompt(f"{callid}-older", mobile=MOBILE))
    gateway.post(prompt(f"{callid}-newer", mobile=MOBILE))
    text = person.get("live")
    assert 0 < text.index(f"/calls/{callid}-newer") < text.index(f"/calls/{callid}-older")
    assert 'http-equiv="refresh"' not in text
    assert 'http-equiv="refresh"' in person.get("live", refresh="yes")


def test_without_a_session_nothing_is_shown(gateway: Gateway) -> None:
    """Without a session there is no stream."""
    answer = gateway.client.get("/console/live/events")
    assert (answer.status_code, answer.content) == (303, b"")


def test_a_revoked_key_ends_its_stream(gateway: Gateway) -> None:
    """Within moments, in due form; what comes next is the sign-in."""
    with signed_in(gateway, make_key(gateway, "leaver", "viewer")) as leaver, watching(leaver) as events:
        answer = gateway.client.delete("/v1/keys/leaver", headers={"Authorization": f"Bearer {gateway.key}"})
        assert answer.is_success, answer.text
        began_s = time.monotonic()
        events.await_end()
        assert time.monotonic() - began_s < 60  # by itself it would end in five minutes
        assert leaver.client.get("/console/live/events").status_code == 303


def test_an_open_stream_holds_up_no_stop(data_dir: Path) -> None:
    """SIGTERM ends it in due form, and the gateway long before its drain is over."""
    settings = {"ANSWERBACK_INTAKE__SHUTDOWN_TIMEOUT_S": "60"}
    with Gateway(data_dir, settings=settings) as gateway, signed_in(gateway) as person, watching(person) as events:
        gateway.post(prompt("last", mobile=MOBILE))
        events.lines(1)
        gateway.send_signal(signal.SIGTERM)
        events.await_end()
        assert gateway.wait() == 0
        assert "Cancel" not in gateway.stderr


def test_only_so_many_may_look(gateway: Gateway) -> None:
    """One key has eight; one more is told to come back later, and when somebody leaves there is room again."""
    with signed_in(gateway, make_key(gateway, "crowd", "viewer")) as crowd:
        with ExitStack() as watchers:
            for _ in range(VIEWERS):
                watchers.enter_context(watching(crowd))
            answer = crowd.client.get("/console/live/events")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")

        def is_let_in() -> bool:
            with crowd.client.stream("GET", "/console/live/events") as again:
                return again.status_code == 200

        await_true(is_let_in)
