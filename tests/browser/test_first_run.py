"""An empty console leads: paste this URL, send a test with this command, see it arrive; and every other page says what to do next."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.browser_user import BrowserUser
from browser.conftest import LOCALES, OpenBrowserUser
from console_client import make_key, signed_in
from gateway import OK, Gateway, environment
from playwright.sync_api import expect

TOKEN = "tok-default-3k5Jq0ZtV2"
WIDTHS = (360, 1280)
PAGES = ("/calls", "/live", "/failures", "/fees", "/endpoints", "/deliveries", "/quarantine", "/alerts", "/settings")


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that nobody has called yet."""
    config = tmp_path / "answerback.toml"
    config.write_text(f'[channels.default]\ntoken = "{TOKEN}"\n')
    with Gateway(tmp_path / "data", options=["--config", config]) as running:
        yield running


def arrive(user: BrowserUser, gateway: Gateway, key: str) -> None:
    """Stand before another gateway's console."""
    with signed_in(gateway, key) as person:
        user.arrive(gateway.url, "light", WIDTHS[-1], person.client.cookies.jar)


def test_the_first_steps_lead_to_the_first_call(empty: Gateway, visit: OpenBrowserUser) -> None:
    """In both languages, light and dark, narrow and wide; the command works as it stands, and its call appears without a reload."""
    for language in LOCALES:
        user = visit(language=language)
        arrive(user, empty, empty.key)
        user.go("/console?range=30d")
        for scheme in ("light", "dark"):
            for width in WIDTHS:
                user.look(scheme, width)
                assert (user.misfits(), user.barriers()) == ([], [])
        expect(user.page.locator("#live-state.state-live")).to_be_visible()
    expect(user.page.locator("main h1")).to_have_text(user.w["first_title"])
    url, command = user.page.locator("dl.facts code").inner_text(), user.page.locator("pre code").inner_text()
    assert url.endswith(f"/voice/callback/{TOKEN}")
    expect(user.page.locator("#feed-arrived")).to_be_hidden()
    done = subprocess.run(
        ["/bin/bash", "-c", command], env=environment() | {"no_proxy": "*"}, capture_output=True, check=True
    )
    assert done.stdout == OK
    expect(user.page.locator(".line.new")).to_have_count(1)
    expect(user.page.locator("#feed-arrived")).to_be_visible()
    assert (user.misfits(), user.barriers()) == ([], [])
    user.press(user.w["first_go_on"])
    expect(user.page.locator("main h1")).to_have_text(user.w["nav_overview"])
    user.go("/console/calls/hello")
    assert user.w["outcome_answered"] in user.text


def test_empty_pages_say_what_to_do_next(empty: Gateway, visit: OpenBrowserUser) -> None:
    """None claims that all is well with calls that never were; nothing is cut off where there is nothing."""
    user = visit(javascript=False)
    arrive(user, empty, empty.key)
    for page in PAGES:
        user.go(f"/console{page}")
        for width in WIDTHS:
            user.look("light", width)
            assert user.misfits() == [], page
    for page, text in {"/failures": "no_calls_hint", "/fees": "no_calls_hint", "/live": "live_none_hint"}.items():
        user.go(f"/console{page}")
        assert user.w[text] in user.text
        assert user.w["no_misses"] not in user.text
    user.go("/console")
    assert user.page.locator("pre code").is_visible()
    user.press(user.w["first_look"])
    expect(user.page.locator("main h1")).to_have_text(user.w["first_title"])


def test_a_viewer_sees_no_token(empty: Gateway, visit: OpenBrowserUser) -> None:
    """The command holds it, so that there is none; it says who has it."""
    key = make_key(empty, "looker", "viewer")
    user = visit()
    arrive(user, empty, key)
    user.go("/console")
    assert TOKEN not in user.page.content()
    assert user.w["first_send_admin"] in user.text
    assert user.page.locator("pre").count() == 0
