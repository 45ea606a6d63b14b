"""Live: what happens is on the screen at once, for everybody who looks, and after the gateway was away."""

import time
from collections.abc import Iterator

import pytest
from browser.browser_user import BrowserUser
from browser.conftest import OpenBrowserUser
from gateway import OK, Gateway, prompt
from playwright.sync_api import Locator, expect
from ports import port_of, reserve_port

AWAY_MS = 15_000
DRAIN_S = 5.0


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of its own, on a port that it comes back to."""
    data_dir, settings = tmp_path_factory.mktemp("live") / "data", {"ANSWERBACK_INTAKE__SHUTDOWN_TIMEOUT_S": "30"}
    with (
        reserve_port() as port,
        Gateway(data_dir, settings=settings, options=["--port", str(port_of(port))]) as gateway,
    ):
        yield gateway


def watch(user: BrowserUser) -> BrowserUser:
    """Open the page and wait until it is connected."""
    user.go("/console/live")
    expect(user.page.locator("#live-state")).to_have_text(user.w["live_on"])
    return user


def call(gateway: Gateway, callid: str, mobile: str) -> None:
    """Tell of a call."""
    assert gateway.post(prompt(callid, mobile=mobile)).content == OK


def line(user: BrowserUser, ending: str) -> Locator:
    """The lines about a number with this ending."""
    return user.page.locator(".line").filter(has_text=f"****{ending}")


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_a_callback_shows_up_for_everybody(visit: OpenBrowserUser, gateway: Gateway, locale: str) -> None:
    """Without reloading, once for each who looks, masked, in their language, on top, and leading to its call."""
    two = [watch(visit(gateway.key, language=locale)) for _ in range(2)]
    ending = f"10{locale.count('z')}0"
    call(gateway, f"seen-{locale}", f"1381234{ending}")
    for user in two:
        expect(line(user, ending)).to_have_count(1)
        first = user.page.locator(".line").first
        assert ending in first.inner_text()
        assert user.w["outcome_answered"] in first.inner_text()
        assert f"1381234{ending}" not in user.page.content()
    two[0].follow(two[0].page.locator(".line a").first)
    assert f"/console/calls/seen-{locale}" in two[0].page.url


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_a_pause_holds_back(visit: OpenBrowserUser, gateway: Gateway, locale: str) -> None:
    """What comes meanwhile is counted, and shown when one goes on."""
    user = watch(visit(gateway.key, language=locale))
    state = user.page.locator("#live-state")
    user.press(user.w["live_pause"], stays=True)
    ending = f"20{locale.count('z')}0"
    call(gateway, f"held-{locale}", f"1381234{ending}")
    expect(state).to_contain_text(user.w["live_buffered"] % 1)
    expect(line(user, ending)).to_have_count(0)
    user.press(user.w["live_go_on"], stays=True)
    expect(line(user, ending)).to_have_count(1)
    assert user.page.evaluate("document.getAnimations().length") == 0  # who wants no motion gets none
    expect(state).to_have_text(user.w["live_on"])


def test_it_goes_on_after_the_gateway_was_away(visit: OpenBrowserUser, gateway: Gateway) -> None:
    """An open page does not hold up the end; it says that it is cut off, and comes back by itself without a gap."""
    user = watch(visit(gateway.key))
    call(gateway, "before", "13812343000")
    expect(line(user, "3000")).to_have_count(1)
    began_s = time.monotonic()
    assert gateway.terminate() == 0
    assert time.monotonic() - began_s < DRAIN_S
    expect(user.page.locator("#live-state")).to_have_text(user.w["live_lost"])
    gateway.start()
    call(gateway, "meanwhile", "13812343001")
    expect(user.page.locator("#live-state")).to_have_text(user.w["live_on"], timeout=AWAY_MS)
    expect(line(user, "3001")).to_have_count(1)
    call(gateway, "after", "13812343002")
    expect(line(user, "3002")).to_have_count(1)
    expect(line(user, "3000")).to_have_count(1)
    user.forgive("ERR_CONNECTION_REFUSED")
    user.forgive("ERR_INCOMPLETE_CHUNKED_ENCODING")


def test_without_javascript_it_is_read_again(visit: OpenBrowserUser, gateway: Gateway) -> None:
    """The page says that it stands still, and offers to refresh itself."""
    user = visit(gateway.key, javascript=False)
    user.go("/console/live")
    assert user.w["live_still"] in user.text
    user.press(user.w["live_refresh"])
    call(gateway, "refreshed", "13812344000")
    expect(line(user, "4000")).to_have_count(1, timeout=AWAY_MS)
    user.press(user.w["live_refresh_stop"])
