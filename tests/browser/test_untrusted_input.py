"""Whatever somebody else wrote is text: it runs nothing, says nothing it does not, and stays in its place."""

from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import quote

import httpx
import pytest
from browser.browser_user import BrowserUser
from browser.conftest import OpenBrowserUser
from gateway import OK, Gateway, failure, key_press, prompt
from playwright.sync_api import expect
from receivers.process import Receiver, await_true

RUNS = "<script>window.ran=1</script><img src=x onerror=window.ran=1><svg onload=window.ran=1>"
BREAKS = "\"'></td></table></main><style>body{display:none}</style>"
MARKUP = f"{BREAKS}{RUNS}{{{{7*7}}}}${{7*7}}javascript:window.ran=1"
LONG = "W" * 180
STRANGE = "\u202etxt.exe\u202d \u0007\ufeff\u200b 👩‍👩‍👧‍👦 ﷽ Z͑ͫ̓ͪ̂ͫ̽a̴l̷g̶o"
NASTY = {"markup": MARKUP, "long": LONG, "strange": STRANGE}
PAGES = (
    "",
    "?range=30d",
    "/calls",
    "/failures",
    "/fees",
    "/endpoints",
    "/endpoints/nasty",
    "/deliveries",
    "/deliveries/1",
    "/quarantine",
    "/quarantine/1",
    "/quarantine/2",
    "/live",
    "/settings",
    f"/calls?find={quote(MARKUP)}",
    f"/calls?range={quote(MARKUP)}&mobile={quote(MARKUP)}&reference={quote(LONG)}&callid={quote(LONG)}",
    f"/deliveries?endpoint={quote(MARKUP)}",
    f"/live?channel={quote(MARKUP)}",
    f"/calls/{quote(MARKUP, safe='')}",
    f"/{quote(MARKUP)}",
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that has received nothing but hostile input, with an endpoint that answers with more."""
    home = tmp_path_factory.mktemp("hostile")
    with ExitStack() as running:
        nasty = running.enter_context(
            Receiver(home, "nasty", behaviour="refusing", status=500, answer=MARKUP + LONG * 9)
        )
        config = home / "answerback.toml"
        url = (
            f"{nasty.url}?a={quote(RUNS * 2)}&b={LONG}b"  # nothing that the answer repeats: that would be hidden in it
        )
        config.write_text(f'[endpoints.nasty]\nurl = "{url}"\n')
        gateway = running.enter_context(Gateway(home / "data", options=["--config", config]))
        for name, text in NASTY.items():
            post(gateway, name, text)
        await_true(lambda: gateway.get("/v1/deliveries/1").json()["attempt_log"], lambda: "its answer is not there")
        yield gateway


def post(gateway: Gateway, name: str, text: str) -> None:
    """Tell of a call with `text` in every field that takes one, and some junk."""
    fields = {"mobile": text, "call_from": text, "nationcode": text}
    callid = f"{name}-{text[:200]}" if name != "strange" else name
    for body in (
        prompt(name, **fields),
        failure(name, failure_reason=text, **fields),
        failure(callid, failure_reason=text),
    ):
        assert gateway.post(body).content == OK
    assert gateway.post(key_press(name, text, **fields)).content == OK
    for junk in (f"\0{text}".encode(), b'{"%s":1}' % quote(text).encode()):
        assert gateway.post(junk).status_code == 400
    httpx.put(
        f"{gateway.url}/v1/calls/{name}",
        json=said(text),
        headers={"Authorization": f"Bearer {gateway.key}"},
        trust_env=False,
    ).raise_for_status()


def said(text: str) -> dict[str, object]:
    """What the business says of a call."""
    return {"reference": text, "metadata": {"note": text}}


def is_unharmed(user: BrowserUser) -> bool:
    """Whether nothing of it became an element, or ran."""
    made = "main :is(script, style, img, iframe, object, [onload], [onerror]), body > style"
    return user.page.locator(made).count() == 0 and user.page.evaluate("window.ran") is None


@pytest.mark.parametrize(("locale", "width"), [pytest.param("en-GB", 360, marks=pytest.mark.soak), ("zh-CN", 1440)])
def test_every_page_stays_whole(visit: OpenBrowserUser, gateway: Gateway, locale: str, width: int) -> None:
    """Nothing runs, nothing is an element, no page scrolls sideways, no cell runs into the next one."""
    user = visit(gateway.key, language=locale, width=width)
    for path in [*PAGES, *(f"/calls/{name}" for name in NASTY)]:
        assert user.go(f"/console{path}") in (200, 404, 422), path
        assert is_unharmed(user), path
        assert "Failed to render" not in user.text
        assert user.misfits() == [], path


def test_what_is_clipped_can_be_read(visit: OpenBrowserUser, gateway: Gateway) -> None:
    """A cell that shows the beginning has all of it as its title."""
    user = visit(gateway.key)
    user.go("/console/calls")
    titles = user.page.locator(".calls [title]").evaluate_all("found => found.map((one) => one.title)")
    assert any(MARKUP in title for title in titles)
    assert LONG in titles


def test_an_endpoint_tested_answers_in_text(visit: OpenBrowserUser, gateway: Gateway) -> None:
    """The answer of a test is shown as it is."""
    user = visit(gateway.key, javascript=True)
    user.go("/console/endpoints/nasty")
    user.press(user.w["endpoint_test"])
    assert RUNS in user.text
    assert LONG * 2 in user.text
    assert is_unharmed(user)
    assert user.misfits() == []


def test_forms_give_back_text(visit: OpenBrowserUser, gateway: Gateway) -> None:
    """What was typed into a form that is shown again is in its fields, and nowhere as markup."""
    user = visit(gateway.key)
    user.go("/console/endpoint/new")
    user.page.locator('input[name="url"]').evaluate("field => (field.type = 'text')")
    user.fill(name=MARKUP, url=MARKUP)
    user.press(user.w["endpoints_add"], "main form")
    assert user.page.locator("#name").input_value() == MARKUP
    assert user.page.locator("#url").input_value() == MARKUP
    assert is_unharmed(user)
    assert user.misfits() == []
    user.go("/console/settings")
    user.fill(name=MARKUP[:60])
    user.press(user.w["key_create"], ".key-form")
    assert user.page.locator("#name").input_value() == MARKUP[:60]
    assert is_unharmed(user)


def test_what_comes_in_live_is_text(visit: OpenBrowserUser, gateway: Gateway) -> None:
    """A line that the script adds is made of text, as one that the server renders."""
    user = visit(gateway.key)
    user.go("/console/live")
    expect(user.page.locator("#live-state")).to_have_text(user.w["live_on"])
    before = user.page.locator(".line").count()
    assert gateway.post(prompt(f"live-{MARKUP}", mobile=MARKUP)).content == OK
    await_true(lambda: user.page.locator(".line").count() > before, lambda: user.text)
    assert is_unharmed(user)
    assert user.misfits() == []
    href = user.page.locator(".line a").first.get_attribute("href") or ""
    assert href.startswith("/console/")
