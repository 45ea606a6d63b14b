"""Live: what happens is on the screen at once, for everybody who looks, and after the gateway was away."""

import socket
import time
from collections.abc import Iterator

import pytest
from browser.browser_user import Visitor
from browser.conftest import OpenVisitor
from gateway import OK, Gateway, prompt
from playwright.sync_api import Locator, expect

SOON_MS = 4_000
AWAY_MS = 15_000
DRAIN_S = 5.0


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of its own, on a port that it comes back to."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    with Gateway(tmp_path_factory.mktemp("live") / "data", options=["--port", str(port)]) as gateway:
        yield gateway


def watch(visitor: Visitor) -> Visitor:
    """Open the page and wait until it is connected."""
    visitor.go("/console/live")
    expect(visitor.page.locator("#live-state")).to_have_text(visitor.w["live_on"])
    return visitor


def call(gateway: Gateway, callid: str, mobile: str) -> None:
    """Tell of a call."""
    assert gateway.post(prompt(callid, mobile=mobile)).content == OK


def line(visitor: Visitor, ending: str) -> Locator:
    """The lines about a number with this ending."""
    return visitor.page.locator(".line").filter(has_text=f"****{ending}")


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_a_callback_shows_up_for_everybody(visit: OpenVisitor, gateway: Gateway, locale: str) -> None:
    """Without reloading, once for each who looks, masked, in their language, on top, and leading to its call."""
    two = [watch(visit(gateway.key, language=locale)) for _ in range(2)]
    ending = f"10{locale.count('z')}0"
    call(gateway, f"seen-{locale}", f"1381234{ending}")
    for visitor in two:
        expect(line(visitor, ending)).to_have_count(1, timeout=SOON_MS)
        first = visitor.page.locator(".line").first
        assert ending in first.inner_text()
        assert visitor.w["outcome_answered"] in first.inner_text()
        assert f"1381234{ending}" not in visitor.page.content()
    two[0].follow(two[0].page.locator(".line a").first)
    assert f"/console/calls/seen-{locale}" in two[0].page.url


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_a_pause_holds_back(visit: OpenVisitor, gateway: Gateway, locale: str) -> None:
    """What comes meanwhile is counted, and shown when one goes on."""
    visitor = watch(visit(gateway.key, language=locale))
    state = visitor.page.locator("#live-state")
    visitor.press(visitor.w["live_pause"], stays=True)
    ending = f"20{locale.count('z')}0"
    call(gateway, f"held-{locale}", f"1381234{ending}")
    expect(state).to_contain_text(visitor.w["live_held"] % 1, timeout=SOON_MS)
    expect(line(visitor, ending)).to_have_count(0)
    visitor.press(visitor.w["live_go_on"], stays=True)
    expect(line(visitor, ending)).to_have_count(1)
    assert visitor.page.evaluate("document.getAnimations().length") == 0  # who wants no motion gets none
    expect(state).to_have_text(visitor.w["live_on"])


def test_it_goes_on_after_the_gateway_was_away(visit: OpenVisitor, gateway: Gateway) -> None:
    """An open page does not hold up the end; it says that it is cut off, and comes back by itself without a gap."""
    visitor = watch(visit(gateway.key))
    call(gateway, "before", "13812343000")
    expect(line(visitor, "3000")).to_have_count(1, timeout=SOON_MS)
    began_s = time.monotonic()
    assert gateway.terminate() == 0
    assert time.monotonic() - began_s < DRAIN_S
    expect(visitor.page.locator("#live-state")).to_have_text(visitor.w["live_lost"])
    gateway.start()
    call(gateway, "meanwhile", "13812343001")
    expect(visitor.page.locator("#live-state")).to_have_text(visitor.w["live_on"], timeout=AWAY_MS)
    expect(line(visitor, "3001")).to_have_count(1, timeout=SOON_MS)
    call(gateway, "after", "13812343002")
    expect(line(visitor, "3002")).to_have_count(1, timeout=SOON_MS)
    expect(line(visitor, "3000")).to_have_count(1)
    visitor.forgive("ERR_CONNECTION_REFUSED")
    visitor.forgive("ERR_INCOMPLETE_CHUNKED_ENCODING")


def test_without_javascript_it_is_read_again(visit: OpenVisitor, gateway: Gateway) -> None:
    """The page says that it stands still, and offers to refresh itself."""
    visitor = visit(gateway.key, javascript=False)
    visitor.go("/console/live")
    assert visitor.w["live_still"] in visitor.text
    visitor.press(visitor.w["live_refresh"])
    call(gateway, "refreshed", "13812344000")
    expect(line(visitor, "4000")).to_have_count(1, timeout=AWAY_MS)
    visitor.press(visitor.w["live_refresh_stop"])
