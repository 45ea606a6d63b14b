"""A server that misbehaves: what is repeated, for how long, and what the error says."""

import asyncio
import ssl
import time
import traceback
from pathlib import Path
from typing import Any

import pytest
from client.drivers import Driver
from client.unruly_server import Behaviour, UnrulyServer, answer, break_off, hang_up, say, stay_silent
from ports import port_of, reserve_port
from receivers.process import await_true
from relay.certificates import found_authority, server_side
from relay.waiting import until

from answerback.client import (
    ApiError,
    AsyncClient,
    Client,
    Conflict,
    ConnectionFailed,
    NotFound,
    RateLimited,
    Unavailable,
    UnexpectedResponse,
)
from answerback.errors import ConfigError

KEY = "ab_secret-5Rh36T"
ME = {"name": "k", "role": "viewer", "full_numbers": False}
DONE = answer(200, ME)
AWAY = answer(503, {"detail": "the disk is failing"})
BUSY = answer(429, {"detail": "too many wrong keys"}, Retry_After="0")


@pytest.fixture
def client(driver: Driver, unruly: UnrulyServer) -> Any:
    """A client of the unruly server."""
    return driver.make(unruly.url, KEY, timeout_s=20.0)


@pytest.mark.parametrize(
    "fault",
    [AWAY, answer(502), answer(504), BUSY, say(503, b"<h1>away</h1>"), hang_up, break_off(b"{")],
    ids=["503", "502", "504", "429", "html", "reset", "cut short"],
)
def test_a_read_is_repeated(client: Any, driver: Driver, unruly: UnrulyServer, fault: Behaviour) -> None:
    """Until it succeeds."""
    unruly.will(fault, fault, DONE)
    assert driver.get(client.me()).name == "k"
    assert [one.path for one in unruly.received] == ["/v1/me"] * 3


def test_repetitions_are_bounded_in_number(driver: Driver, unruly: UnrulyServer) -> None:
    """After `retries` of them the last answer is the error."""
    unruly.will(AWAY, AWAY, AWAY)
    with pytest.raises(Unavailable, match=r"^the disk is failing$") as caught:
        driver.get(driver.make(unruly.url, KEY, retries=2).me())
    assert (caught.value.status, caught.value.title) == (503, "Service Unavailable")
    assert len(unruly.received) == 3


def test_repetitions_are_bounded_in_time(driver: Driver, unruly: UnrulyServer) -> None:
    """None is made that would begin after `timeout_s`, and the first one waits no longer than that for an answer."""
    unruly.will(answer(503, {"detail": "later"}, Retry_After="60"), stay_silent)
    with pytest.raises(Unavailable) as away:
        driver.get(driver.make(unruly.url, KEY, timeout_s=30.0).me())
    assert away.value.retry_after_s == 60
    since_s = time.monotonic()
    with pytest.raises(ConnectionFailed, match="no answer in time"):
        driver.get(driver.make(unruly.url, KEY, timeout_s=0.3).me())
    assert 0.25 < time.monotonic() - since_s < 5
    await_true(
        lambda: len(unruly.received) == 2
    )  # the server may read a request after nobody waits for its answer any more


def test_retry_after_is_waited_for(client: Any, driver: Driver, unruly: UnrulyServer) -> None:
    """In seconds."""
    unruly.will(answer(503, None, Retry_After="1"), DONE)
    since_s = time.monotonic()
    driver.get(client.me())
    assert time.monotonic() - since_s >= 1


def test_too_many_wrong_keys(driver: Driver, unruly: UnrulyServer) -> None:
    """The error says when to try again; a date is understood as well."""
    unruly.will(answer(429, {"detail": "too many"}, Retry_After="Fri, 01 Jan 2100 00:00:00 GMT"))
    with pytest.raises(RateLimited) as caught:
        driver.get(driver.make(unruly.url, KEY).me())
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s > 1e8


@pytest.mark.parametrize("reported", ["soon", "9" * 400, "Mon, 01 Jan 999999999999 00:00:00 GMT"])
def test_a_retry_after_beyond_all_bounds_says_nothing(driver: Driver, unruly: UnrulyServer, reported: str) -> None:
    """A number, or a date, that no clock reaches."""
    unruly.will(answer(429, {"detail": "too many"}, Retry_After=reported))
    with pytest.raises(RateLimited) as caught:
        driver.get(driver.make(unruly.url, KEY, retries=0).me())
    assert caught.value.retry_after_s is None


@pytest.mark.parametrize("fault", [AWAY, answer(502), answer(504), hang_up], ids=["503", "502", "504", "reset"])
def test_what_may_have_been_done_is_not_repeated(
    client: Any, driver: Driver, unruly: UnrulyServer, fault: Behaviour
) -> None:
    """A second key, a second secret or a second test would be one too many."""
    for ask in (
        lambda: client.keys.create("k", role="viewer"),
        lambda: client.endpoints.create("http://receiver/"),
        lambda: client.endpoints.rotate_secret("crm"),
        lambda: client.endpoints.test("crm"),
        lambda: client.deliveries.replay(1),
        lambda: client.replays.start("crm", dead=True),
        lambda: client.quarantine.requeue(1),
        client.keys.sign_in_link,
    ):
        unruly.will(fault)
        with pytest.raises((Unavailable, ConnectionFailed)):
            driver.get(ask())
    assert len(unruly.received) == 8


def test_what_was_turned_away_is_repeated(client: Any, driver: Driver, unruly: UnrulyServer) -> None:
    """A request that was not even looked at did nothing, whatever it was."""
    made = ME | {"id": 1, "created_at": "2026-01-01T00:00:00Z", "key": "ab_x"}
    unruly.will(BUSY, answer(201, made))
    assert driver.get(client.keys.create("k", role="viewer")).key == "ab_x"


def test_a_gateway_that_is_not_there_yet(driver: Driver) -> None:
    """A refused connection did nothing: even what may not be done twice is tried again until the gateway is there."""
    with reserve_port() as reservation:
        url, since_s = f"http://127.0.0.1:{port_of(reservation)}", time.monotonic()
        with pytest.raises(ConnectionFailed, match=rf"^no gateway answers at {url}: Connection refused$"):
            driver.get(driver.make(url, KEY).keys.create("k", role="viewer"))
        assert time.monotonic() - since_s > 0.4


def test_changes_that_are_harmless_to_repeat_are_repeated(client: Any, driver: Driver, unruly: UnrulyServer) -> None:
    """Callbacks, annotations, and whether an endpoint is on."""
    unruly.will(hang_up, answer(200, {"result": 0, "errmsg": "OK"}))
    assert driver.get(client.callbacks.submit(b"{}")).result == 0
    assert {one.body for one in unruly.received} == {b"{}"}


def test_a_deletion_whose_answer_was_lost_is_done(client: Any, driver: Driver, unruly: UnrulyServer) -> None:
    """The second attempt finds nothing, because the first one deleted it; where there was no first one, that is an error."""
    nothing = answer(404, {"detail": "no endpoint crm"})
    unruly.will(hang_up, nothing, nothing, BUSY, nothing)
    driver.get(client.endpoints.delete("crm"))
    for _ in range(2):
        with pytest.raises(NotFound):
            driver.get(client.endpoints.delete("crm"))


@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        (say(500, b"<h1>oops</h1>"), ApiError, "the gateway answered 500 Internal Server Error"),
        (answer(301, Location="https://elsewhere/"), ApiError, "the gateway answered 301 Moved Permanently"),
        (answer(404), NotFound, "the gateway answered 404 Not Found"),
        (say(409, b'["not", "a problem"]'), Conflict, "the gateway answered 409 Conflict"),
        (answer(799), ApiError, "the gateway answered 799"),
        (say(200, b"<h1>hello</h1>"), UnexpectedResponse, "GET /v1/me: the body is not what"),
        (answer(200, ME | {"role": "13788888888"}), UnexpectedResponse, "GET /v1/me: role is not what"),
        (answer(403, {"detail": f"Bearer {KEY} may not"}), ApiError, "Bearer … may not"),
    ],
)
def test_whatever_answers_the_error_is_named(
    client: Any, driver: Driver, unruly: UnrulyServer, behaviour: Behaviour, kind: type[ApiError], words: str
) -> None:
    """Proxies answer in words of their own; neither those nor values are repeated, and no traceback shows the key or a number."""
    unruly.will(behaviour)
    with pytest.raises(kind) as caught:
        driver.get(client.me())
    assert str(caught.value).startswith(words)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(vars(caught.value))
    assert not [secret for secret in (KEY, "13788888888") if secret in shown]


def test_a_list_that_leads_to_itself_is_an_error(client: Any, driver: Driver, unruly: UnrulyServer) -> None:
    """It would never end."""
    unruly.will(
        *[answer(200, {"items": [], "next_cursor": cursor}) for cursor in "aba"],
        answer(200, {"items": [], "next_cursor": "a"}),
    )
    with pytest.raises(UnexpectedResponse, match=r"^next_cursor: leads to the same page again$"):
        driver.all(client.calls.list())
    assert len(unruly.received) == 4


def test_a_name_that_is_misspelt_is_refused(client: Any, unruly: UnrulyServer) -> None:
    """Else a filter would let everything through."""
    for ask in (client.calls.list, client.export, client.events, client.stats, client.replays.start):
        with pytest.raises(TypeError, match="got an unexpected keyword argument 'chanel'"):
            ask(*(["calls"] if ask in (client.export, client.replays.start) else []), chanel="alerts")
    with pytest.raises(TypeError, match=r"'retry': expected key, masked, proxy, retries, timeout_s, tls, url$"):
        Client(unruly.url, KEY, retry=1)  # type: ignore[call-arg]
    assert not unruly.received


def test_a_lag_that_is_no_number_is_not_read(client: Any, driver: Driver, unruly: UnrulyServer) -> None:
    """What a proxy makes of the header is no reason to lose the answer."""
    unruly.will(answer(200, ME, Answerback_Recorder_Lag="1.5"), answer(200, ME, Answerback_Recorder_Lag="soon"))
    assert [driver.get(client.me()).name for _ in range(2)] == ["k", "k"]
    assert client.recorder_lag_s == 1.5


def test_the_environment_has_no_say(driver: Driver, unruly: UnrulyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a proxy nor a .netrc gets between a program and its gateway; a proxy is used where it is named."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    unruly.will(DONE, DONE)
    driver.get(driver.make(unruly.url, KEY).me())
    driver.get(driver.make("http://gateway.example", KEY, proxy=unruly.url).me())
    assert [one.path for one in unruly.received] == ["/v1/me", "http://gateway.example/v1/me"]


def test_a_certificate_is_checked(driver: Driver, tmp_path: Path) -> None:
    """Against the system's authorities, or those that are given; the key goes to nobody else."""
    authority = found_authority(tmp_path, "authority")
    with UnrulyServer(server_side(authority.issue("gateway", hosts="IP:127.0.0.1"))) as server:
        server.will(DONE)
        with pytest.raises(ConnectionFailed, match="certificate"):
            driver.get(driver.make(server.url, KEY, retries=0).me())
        assert not server.received
        tls = ssl.create_default_context(cafile=authority.file)
        assert driver.get(driver.make(server.url, KEY, tls=tls).me()).name == "k"


def test_a_gateway_below_a_path(driver: Driver, unruly: UnrulyServer) -> None:
    """The path of the URL stays."""
    unruly.will(DONE)
    driver.get(driver.make(f"{unruly.url}/voice/", KEY).me())
    assert unruly.received[0].path == "/voice/v1/me"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "gateway:8000"}, "url: expected http://host or https://host, such as http://127.0.0.1:8000"),
        ({"url": "http://gateway/voice/v1/"}, "url: expected that of the gateway, without /v1"),
        ({"url": "http://u:p@gateway"}, "url: expected no user"),
        ({"url": "http://gateway/?a=b"}, "url: expected no user, query or fragment"),
        ({"key": ""}, "key: expected an API key"),
        ({"key": "ab_x\n"}, "key: expected an API key"),
        ({"key": "ab_名"}, "key: expected an API key"),
        ({"timeout_s": "30"}, "timeout_s: expected a number above 0, got '30'"),
        ({"retries": -1}, "retries: expected a number from 0 on, got -1"),
        ({"proxy": "proxy:3128"}, "proxy: expected http://host:port"),
        ({"tls": "ca.pem"}, "tls: expected what ssl.create_default_context"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(driver: Driver, changes: dict[str, Any], words: str) -> None:
    """Before anything is sent, and without the key."""
    with pytest.raises(ConfigError) as caught:
        driver.make(**{"url": "http://gateway", "key": KEY} | changes)
    assert words in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_client_shows_no_key(driver: Driver) -> None:
    """Not even to a debugger that prints what it holds."""
    client = driver.make("http://gateway", KEY)
    assert KEY not in repr(client) + repr(vars(client.sender))


async def _give_up(unruly: UnrulyServer) -> str:
    async with AsyncClient(unruly.url, KEY) as client:
        asking = asyncio.ensure_future(client.me())
        await until(lambda: unruly.received)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        return (await client.me()).name


def test_whoever_gives_up_waiting_may_go_on(unruly: UnrulyServer) -> None:
    """A request that was cancelled is not repeated, and leaves nothing behind."""
    unruly.will(stay_silent, DONE)
    assert asyncio.run(_give_up(unruly)) == "k"
    assert len(unruly.received) == 2
