"""Signing in by a one-time link: the page says with which key, and a press of the button does it."""

from browser.browser_user import BrowserUser
from browser.conftest import OpenBrowserUser
from gateway import Gateway
from playwright.sync_api import expect

WIDTHS = (360, 1280)


def make_link(gateway: Gateway, key: str | None = None) -> str:
    """The path of a link, with what is behind its #."""
    headers = {"Authorization": f"Bearer {gateway.key}"}
    answer = gateway.client.post("/v1/sign-in-links", json={"key": key}, headers=headers)
    url: str = answer.json()["url"]
    return url.removeprefix(gateway.url)


def on_page(user: BrowserUser, path: str) -> None:
    """Open a link; anew, where the page is open already."""
    user.page.goto("about:blank")
    user.go(path)


def test_a_link_says_whom_it_signs_in(gateway: Gateway, visit: OpenBrowserUser) -> None:
    """In both languages, light and dark, wide and narrow; nothing more than the button has to be pressed; a second time it says why not."""
    path = make_link(gateway)
    user = visit()
    on_page(user, path)
    for scheme in ("light", "dark"):
        for width in WIDTHS:
            user.look(scheme, width)
            assert (user.misfits(), user.barriers()) == ([], [])
    expect(user.page.locator("#link-lead")).to_have_text(f"{user.w['sign_in_link_lead']} admin")
    expect(user.page.locator("#link")).to_be_hidden()
    user.press("中文")
    expect(user.page.locator("#link-lead")).to_have_text("此一次性链接将使用以下密钥登录： admin")
    user.press("English")
    with user.page.expect_navigation():
        user.page.keyboard.press("Enter")
    assert user.page.url == f"{gateway.url}/console"
    expect(user.page.locator(".who strong")).to_have_text("admin")
    on_page(user, path)
    user.press(user.w["sign_in"])
    assert user.notice == user.w["sign_in_link_used"]
    assert user.page.locator("#link").is_visible()


def test_a_link_takes_the_place_of_a_session(gateway: Gateway, viewer_key: str, visit: OpenBrowserUser) -> None:
    """Only if its reader wants that: it says who is signed in now."""
    assert viewer_key
    user = visit(gateway.key)
    on_page(user, make_link(gateway, "looker"))
    assert user.notice == user.w["sign_in_signed_in"] % "admin"
    user.press(user.w["sign_in_link_stay"])
    expect(user.page.locator(".who strong")).to_have_text("admin")
    on_page(user, make_link(gateway, "looker"))
    user.press(user.w["sign_in"])
    expect(user.page.locator(".who strong")).to_have_text("looker")


def test_without_scripts_the_link_is_pasted(gateway: Gateway, visit: OpenBrowserUser) -> None:
    """What is behind the # reaches no server by itself."""
    path = make_link(gateway)
    user = visit(javascript=False)
    on_page(user, path)
    user.page.locator("#link").fill(gateway.url + path)
    user.press(user.w["sign_in"])
    assert user.page.url == f"{gateway.url}/console"
