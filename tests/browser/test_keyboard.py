"""With a keyboard alone, and with fewer pixels: everything can be reached, seen and read."""

import pytest
from browser.browser_user import BrowserUser
from browser.conftest import OpenBrowserUser
from browser.test_pages import PAGES
from gateway import Gateway

_FOCUSED = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const style = getComputedStyle(one);
  const box = one.getBoundingClientRect();
  const name = one.id || one.name || one.getAttribute("href") || one.textContent.trim();
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 && box.width > 0 && box.height > 0;
  const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  const part = one.closest("nav, .side, main") ?? document.body;
  return { name, seen: seen || one.matches(".skip"), inside, part: part.className || part.tagName };
}"""
_MOST_STOPS = 250


def walk(user: BrowserUser) -> list[dict[str, object]]:
    """Press Tab until the page has been left; every stop on the way."""
    stops: list[dict[str, object]] = []
    for _ in range(_MOST_STOPS):
        user.page.keyboard.press("Tab")
        stop = user.page.evaluate(_FOCUSED)
        if stop is None or (len(stops) > 1 and stop == stops[0]):
            return stops
        stops.append(stop)
    raise AssertionError(f"Tab never leaves the page: {stops[-3:]}")


@pytest.mark.parametrize(
    "page", ["overview", "calls-failed", "call-failed", "endpoint", "endpoint-new", "quarantine", "settings"]
)
def test_tab_reaches_everything(visit: OpenBrowserUser, gateway: Gateway, page: str) -> None:
    """First the way past the sections, then these, then the page; each stop is seen, and none keeps one."""
    user = visit(gateway.key)
    user.go(PAGES[page])
    stops = walk(user)
    assert stops[0]["name"] == "#content"
    assert stops[1]["name"] == "/console"
    parts = [stop["part"] for stop in stops]
    assert parts.index("sections") < parts.index("MAIN")
    assert [stop for stop in stops if not stop["seen"]] == []
    assert [stop for stop in stops if not stop["inside"]] == []
    shown = user.page.locator("main :is(a, button, input, select, summary):visible").count()
    assert parts.count("MAIN") + parts.count("pager") >= shown - user.page.locator("main [type=radio]:visible").count()


def test_the_skip_link_leads_to_the_page(visit: OpenBrowserUser, gateway: Gateway) -> None:
    """The next Tab after it is in the page itself."""
    user = visit(gateway.key)
    user.go("/console/calls")
    user.page.keyboard.press("Tab")
    assert user.page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index]  # it is shown when focused
    user.page.keyboard.press("Enter")
    user.page.keyboard.press("Tab")
    assert user.page.evaluate("document.activeElement.id") == "find"


def test_menus_open_and_close(visit: OpenBrowserUser, gateway: Gateway) -> None:
    """Enter opens, Escape closes and leaves one where one was; also the menu of files, and its links."""
    user = visit(gateway.key)
    user.go("/console/calls")
    page = user.page
    for menu in (".account", ".menu"):
        page.locator(f"{menu} > summary").focus()
        page.keyboard.press("Enter")
        assert page.locator(menu).get_attribute("open") is not None
        page.keyboard.press("Tab")
        assert page.evaluate(f"document.activeElement.closest('{menu}') !== null")
        page.keyboard.press("Escape")
        assert page.locator(menu).get_attribute("open") is None
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_sections_are_reached_on_a_narrow_screen(visit: OpenBrowserUser, gateway: Gateway) -> None:
    """All of them, by swiping; the one that is open is in sight."""
    user = visit(gateway.key, width=360)
    user.go("/console")
    user.follow(user.page.locator(".sections a").last)
    assert user.page.url.endswith("/console/settings")
    box = user.page.locator(".sections [aria-current]").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    user.page.locator(".account > summary").click()
    panel = user.page.locator(".account .panel").bounding_box()
    assert panel is not None
    assert panel["x"] >= 0
    assert panel["x"] + panel["width"] <= 360
