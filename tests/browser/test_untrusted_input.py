"""Whatever somebody else wrote is text: it runs nothing, says nothing it does not, and stays in its place."""

from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import quote

import httpx
import pytest
from browser.browser_user import Visitor
from browser.conftest import OpenVisitor
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
    """A gateway that has been told nothing but nastiness, with an endpoint that answers some more."""
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
        nasty.await_taken(len(NASTY))
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


def is_unharmed(visitor: Visitor) -> bool:
    """Whether nothing of it became an element, or ran."""
    made = "main :is(script, style, img, iframe, object, [onload], [onerror]), body > style"
    return visitor.page.locator(made).count() == 0 and visitor.page.evaluate("window.ran") is None


@pytest.mark.parametrize(("locale", "width"), [("en-GB", 360), ("zh-CN", 1440)])
def test_every_page_stays_whole(visit: OpenVisitor, gateway: Gateway, locale: str, width: int) -> None:
    """Nothing runs, nothing is an element, no page scrolls sideways, no cell runs into the next one."""
    visitor = visit(gateway.key, language=locale, width=width)
    for path in [*PAGES, *(f"/calls/{name}" for name in NASTY)]:
        assert visitor.go(f"/console{path}") in (200, 404, 422), path
        assert is_unharmed(visitor), path
        assert "Failed to render" not in visitor.text
        assert visitor.misfits() == [], path


def test_what_is_clipped_can_be_read(visit: OpenVisitor, gateway: Gateway) -> None:
    """A cell that shows the beginning has all of it as its title."""
    visitor = visit(gateway.key)
    visitor.go("/console/calls")
    titles = visitor.page.locator(".calls [title]").evaluate_all("found => found.map((one) => one.title)")
    assert any(MARKUP in title for title in titles)
    assert LONG in titles


def test_an_endpoint_tested_answers_in_text(visit: OpenVisitor, gateway: Gateway) -> None:
    """The answer of a test is shown as it is."""
    visitor = visit(gateway.key, javascript=True)
    visitor.go("/console/endpoints/nasty")
    visitor.press(visitor.w["endpoint_test"])
    assert RUNS in visitor.text
    assert LONG * 2 in visitor.text
    assert is_unharmed(visitor)
    assert visitor.misfits() == []


def test_forms_give_back_text(visit: OpenVisitor, gateway: Gateway) -> None:
    """What was typed into a form that is shown again is in its fields, and nowhere as markup."""
    visitor = visit(gateway.key)
    visitor.go("/console/endpoint/new")
    visitor.page.locator('input[name="url"]').evaluate("field => (field.type = 'text')")
    visitor.fill(name=MARKUP, url=MARKUP)
    visitor.press(visitor.w["endpoints_add"], "main form")
    assert visitor.page.locator("#name").input_value() == MARKUP
    assert visitor.page.locator("#url").input_value() == MARKUP
    assert is_unharmed(visitor)
    assert visitor.misfits() == []
    visitor.go("/console/settings")
    visitor.fill(name=MARKUP[:60])
    visitor.press(visitor.w["key_create"], ".key-form")
    assert visitor.page.locator("#name").input_value() == MARKUP[:60]
    assert is_unharmed(visitor)


def test_what_comes_in_live_is_text(visit: OpenVisitor, gateway: Gateway) -> None:
    """A line that the script adds is made of text, as one that the server renders."""
    visitor = visit(gateway.key)
    visitor.go("/console/live")
    expect(visitor.page.locator("#live-state")).to_have_text(visitor.w["live_on"])
    before = visitor.page.locator(".line").count()
    assert gateway.post(prompt(f"live-{MARKUP}", mobile=MARKUP)).content == OK
    await_true(lambda: visitor.page.locator(".line").count() > before, lambda: visitor.text)
    assert is_unharmed(visitor)
    assert visitor.misfits() == []
    href = visitor.page.locator(".line a").first.get_attribute("href") or ""
    assert href.startswith("/console/")
