"""Every page, in both languages, light and dark, wide and narrow, as a browser shows it."""

from collections.abc import Callable, Sequence

import pytest
from browser.browser_user import BrowserUser
from browser.conftest import OpenBrowserUser
from browser.sample_data import ANSWERED, FAILED, HOSTILE_CALL, PRESSED, TWICE
from gateway import Gateway

PAGES = {
    "overview": "/console",
    "overview-30d": "/console?range=30d",
    "calls": "/console/calls",
    "calls-failed": "/console/calls?outcome=failed",
    "calls-none": "/console/calls?callid=nobody",
    "call-answered": f"/console/calls/{ANSWERED}",
    "call-pressed": f"/console/calls/{PRESSED}",
    "call-failed": f"/console/calls/{FAILED}",
    "call-hostile": f"/console/calls/{HOSTILE_CALL}",
    "call-in-two-channels": f"/console/calls/{TWICE}",
    "failures": "/console/failures?range=7d",
    "fees": "/console/fees?range=7d",
    "endpoints": "/console/endpoints",
    "endpoint": "/console/endpoints/broken",
    "endpoint-new": "/console/endpoint/new",
    "deliveries": "/console/deliveries",
    "delivery": "/console/deliveries/1",
    "quarantine": "/console/quarantine",
    "quarantined": "/console/quarantine/1",
    "live": "/console/live",
    "alerts": "/console/alerts",
    "settings": "/console/settings",
}
CHOICE = 409
LOOKS = {"en": ("en-GB", "light", 1440), "zh": ("zh-CN", "dark", 390)}
"""What each language is looked at in: together both schemes, whose colours are the same in every language, and both layouts."""

WIDTHS = (1440, 1280, 1024, 768, 720, 390, 360)
"""From a large screen to a small telephone; 720 is what zooming to 200 % leaves of 1440."""

TIGHT = (1280, 1024, 720, 360)
"""The narrowest that each layout gets of them."""

Keep = Callable[[BrowserUser, Sequence[str]], None]


@pytest.mark.parametrize("language", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_fit_to_be_seen(visit: OpenBrowserUser, gateway: Gateway, name: str, language: str) -> None:
    """In its language, without scripts' errors, foreign requests or serious barriers; all of it in its place in each layout.

    Tables scroll in their card, not the page; figures as large as a large company's have room, too.
    """
    path = PAGES[name]
    locale, scheme, width = LOOKS[language]
    user = visit(gateway.key, language=locale, scheme=scheme, width=width)
    check(user, path, language)
    titled_by_data = any(part in path for part in ("/calls/", "/endpoints/broken", "/deliveries/"))
    if not titled_by_data:
        assert has_chinese(user.page.title()) == (language == "zh")
    assert misfits(user, scheme, [width, *TIGHT]) == {}


@pytest.mark.parametrize("language", LOOKS)
def test_a_page_without_anything_says_so(visit: OpenBrowserUser, language: str) -> None:
    """Before signing in there is one page, and it is fit to be seen, too."""
    locale, scheme, width = LOOKS[language]
    user = visit(language=locale, scheme=scheme, width=width)
    check(user, "/console/calls", language)
    assert "/console/sign-in" in user.page.url
    assert misfits(user, scheme, WIDTHS) == {}


@pytest.mark.soak
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_fit_in_every_look(
    visit: OpenBrowserUser, gateway: Gateway, keep: Keep, name: str, language: str, scheme: str
) -> None:
    """In either scheme and language at each width it fits, there are no serious barriers, and a picture of it."""
    user = visit(gateway.key, language=LOOKS[language][0], scheme=scheme)
    check(user, PAGES[name], language)
    for width in WIDTHS:
        assert misfits(user, scheme, [width]) == {}
        assert user.barriers() == [], width
        keep(user, [name, language, scheme, str(width)])


def check(user: BrowserUser, path: str, language: str) -> None:
    """A page is there, in its language, and shuts nobody out."""
    assert user.go(path) in (200, CHOICE)
    frame = """() => [document.documentElement.lang, ...["h1", "main"].map((tag) => document.querySelectorAll(tag).length)]"""
    assert user.page.evaluate(frame) == [{"en": "en", "zh": "zh-CN"}[language], 1, 1]
    assert user.barriers() == []


def misfits(user: BrowserUser, scheme: str, widths: Sequence[int]) -> dict[int, list[str]]:
    """What does not fit, by width."""
    found: dict[int, list[str]] = {}
    for width in widths:
        user.look(scheme, width)
        found[width] = user.misfits()
    return {width: what for width, what in found.items() if what}


def has_chinese(text: str) -> bool:
    """Whether any of it is."""
    return any("\u4e00" <= letter <= "\u9fff" for letter in text)
