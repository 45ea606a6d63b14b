"""Every page, in both languages, light and dark, wide and narrow, as a browser shows it."""

from collections.abc import Callable, Sequence

import pytest
from browser.conftest import OpenVisitor
from browser.filling import ANSWERED, FAILED, HOSTILE_CALL, PRESSED, TWICE
from browser.visitor import Visitor
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
    "settings": "/console/settings",
}
CHOICE = 409
LOOKS = {"en": ("en-GB", "light", 1440), "zh": ("zh-CN", "dark", 390)}
OTHER_LOOKS = {"en": ("en-GB", "dark", 390), "zh": ("zh-CN", "light", 1440)}
WIDTHS = (1280, 1024, 768, 390, 360)

Keep = Callable[[Visitor, Sequence[str]], None]


def check(visitor: Visitor, path: str, language: str) -> None:
    """A page is there, in its language, fits, and shuts nobody out."""
    assert visitor.go(path) in (200, CHOICE)
    page = visitor.page
    assert page.locator("html").get_attribute("lang") == {"en": "en", "zh": "zh-CN"}[language]
    assert page.locator("h1").count() == 1
    assert page.locator("main").count() == 1
    assert not visitor.is_too_wide()
    assert visitor.cut_off() == []
    assert visitor.barriers() == []


@pytest.mark.parametrize("language", LOOKS)
@pytest.mark.parametrize("looks", [LOOKS, OTHER_LOOKS], ids=["first", "other"])
def test_every_page_is_fit_to_be_seen(
    visit: OpenVisitor, gateway: Gateway, keep: Keep, language: str, looks: dict[str, tuple[str, str, int]]
) -> None:
    """In its language, no wider than the screen, without scripts' errors, foreign requests or serious barriers."""
    locale, scheme, width = looks[language]
    visitor = visit(gateway.key, language=locale, scheme=scheme, width=width)
    for name, path in PAGES.items():
        check(visitor, path, language)
        keep(visitor, [name, language, scheme, str(width)])


@pytest.mark.parametrize("language", LOOKS)
def test_nothing_stands_out_of_its_card(visit: OpenVisitor, gateway: Gateway, keep: Keep, language: str) -> None:
    """Each page at each usual width: tables, figures and forms stay in their boxes, and the page in the screen."""
    visitor = visit(gateway.key, language=LOOKS[language][0])
    outside: list[str] = []
    for name, path in PAGES.items():
        visitor.go(path)
        visitor.swell()
        for width in WIDTHS:
            visitor.page.set_viewport_size({"width": width, "height": 900})
            found = visitor.spilt() + visitor.cut_off() + ["the page"] * visitor.is_too_wide()
            keep(visitor, [name, language, "large", str(width)])
            outside += [f"{name} at {width} px: {what}" for what in found]
    assert not outside, "\n".join(outside)


@pytest.mark.parametrize("language", LOOKS)
def test_a_page_without_anything_says_so(visit: OpenVisitor, keep: Keep, language: str) -> None:
    """Before signing in there is one page, and it is fit to be seen, too."""
    locale, scheme, width = LOOKS[language]
    visitor = visit(language=locale, scheme=scheme, width=width)
    check(visitor, "/console/calls", language)
    assert "/console/sign-in" in visitor.page.url
    keep(visitor, ["sign-in", language, scheme, str(width)])


@pytest.mark.parametrize("language", LOOKS)
def test_both_languages_say_everything(visit: OpenVisitor, gateway: Gateway, language: str) -> None:
    """A page in Chinese has no English title, and the other way round."""
    visitor = visit(gateway.key, language=LOOKS[language][0])
    for path in PAGES.values():
        visitor.go(path)
        heading = visitor.page.title()
        has_chinese = any("\u4e00" <= letter <= "\u9fff" for letter in heading)
        named_by_data = any(name in path for name in ("/calls/", "/endpoints/broken", "/deliveries/"))
        assert named_by_data or has_chinese == (language == "zh"), heading
