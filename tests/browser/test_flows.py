"""What a reader does about calls, without JavaScript, in both languages: sign in, find, read, reveal, take along."""

import re
from pathlib import Path

import pytest
from browser.browser_user import Visitor
from browser.conftest import LOCALES, OpenVisitor
from browser.sample_data import ANSWERED
from gateway import Gateway

A_PAGE = 50
FULL = "13800000000"
MASKED = "138****0000"


def rows(visitor: Visitor) -> list[str]:
    """The callids of the list that is on the screen."""
    return visitor.page.locator(".calls tbody th code").all_inner_texts()


@pytest.mark.parametrize("locale", LOCALES)
def test_a_wrong_key_opens_nothing_and_the_right_one_leads_on(
    visit: OpenVisitor, gateway: Gateway, locale: str
) -> None:
    """The page says so beside the field, keeps where one was going, and is left by Enter."""
    visitor = visit(language=locale, javascript=False)
    visitor.go("/console/calls?outcome=failed")
    key = visitor.page.locator('input[name="key"]')
    key.fill("abk_wrong")
    visitor.enter(key)
    assert visitor.notice == visitor.w["sign_in_wrong"]
    assert key.get_attribute("aria-invalid") == "true"
    key.fill(gateway.key)
    visitor.enter(key)
    assert visitor.page.url.endswith("/console/calls?outcome=failed")


def test_calls_are_filtered(visitor: Visitor) -> None:
    """By outcome, channel and range, each as the form says, and the choice stays in the form."""
    visitor.go("/console/calls")
    visitor.choose(outcome="failed")
    visitor.press(visitor.w["filter"])
    assert set(rows(visitor)) == {f"failed-{n:02}" for n in range(12)}
    visitor.choose(outcome="", channel="codes", range="7d")
    visitor.press(visitor.w["filter"])
    assert set(rows(visitor)) == {f"unanswered-{n}" for n in range(12)}
    assert visitor.page.locator("#channel").input_value() == "codes"
    visitor.press(visitor.w["reset"])
    assert len(rows(visitor)) == A_PAGE


def test_a_range_without_days_is_asked_for_again(visitor: Visitor) -> None:
    """What is wrong is said beside the field."""
    visitor.go("/console/calls?range=custom&since=2026-13-99&until=x")
    assert visitor.page.locator("#range-fault").inner_text()
    assert visitor.page.locator("#since").is_visible()


def test_a_call_is_found(visitor: Visitor) -> None:
    """By callid, by reference, by number; and what is not there is said, with what was sought."""
    for sought in (ANSWERED, "order-1"):
        visitor.go("/console/calls")
        visitor.fill(find=sought)
        visitor.press(visitor.w["calls_find_go"])
        assert visitor.page.url.endswith(f"/console/calls/{ANSWERED}?channel=default")
    visitor.go("/console/calls")
    visitor.fill(find="<b>nobody</b>")
    visitor.press(visitor.w["calls_find_go"])
    assert visitor.w["calls_none_found"] % "<b>nobody</b>" in visitor.text


def test_pages_go_on_and_come_back(visitor: Visitor) -> None:
    """Older, then newest again; no call twice."""
    visitor.go("/console/calls?channel=default")
    first = rows(visitor)
    visitor.press(visitor.w["older"])
    second = rows(visitor)
    assert second
    assert not set(first) & set(second)
    assert "channel=default" in visitor.page.url
    visitor.press(visitor.w["newest"])
    assert rows(visitor) == first


def test_a_number_is_revealed_until_the_page_is_left(visitor: Visitor) -> None:
    """It is masked, shown on demand, masked again, and Settings tells who saw it."""
    visitor.go(f"/console/calls/{ANSWERED}")
    assert MASKED in visitor.text
    assert FULL not in visitor.page.content()
    visitor.press(visitor.w["call_reveal"])
    assert FULL in visitor.text
    assert visitor.notice == visitor.w["call_revealed"]
    visitor.press(visitor.w["body_masked"])
    assert FULL not in visitor.page.content()
    visitor.go("/console/settings")
    events = visitor.page.locator("#audit tbody tr").all_inner_texts()
    assert any(visitor.w["audit_numbers_revealed"] in event and ANSWERED in event for event in events)


@pytest.mark.parametrize("locale", LOCALES)
def test_an_export_is_what_a_spreadsheet_opens(
    visit: OpenVisitor, gateway: Gateway, locale: str, tmp_path: Path
) -> None:
    """CSV with the mark that tells Excel it is UTF-8, with the calls that are filtered for, numbers masked."""
    visitor = visit(gateway.key, language=locale, javascript=False)
    visitor.go("/console/calls?outcome=failed")
    visitor.page.locator("details.menu > summary").click()
    with visitor.page.expect_download() as coming:
        visitor.press("CSV", stays=True)
    coming.value.save_as(tmp_path / "calls.csv")
    content = (tmp_path / "calls.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    assert b"failed-00" in content
    assert b"answered-00" not in content
    assert not re.search(rb"(?<!\d)1[3-9]\d{9}(?!\d)", content)


def turn(visitor: Visitor, choice: str) -> None:
    """Choose a language or an appearance in the account's menu."""
    visitor.page.locator(".account > summary").click()
    visitor.follow(visitor.page.locator(f'.account a[href*="{choice}"]'))


def test_language_and_appearance_stay_as_chosen(visitor: Visitor) -> None:
    """Over a link and a reload; choosing one leads back to the same page."""
    page, html = visitor.page, visitor.page.locator("html")
    visitor.go("/console/calls?outcome=failed")
    other = "zh-CN" if html.get_attribute("lang") == "en" else "en"
    for choice in (f"lang={other[:2]}", "theme=dark"):
        turn(visitor, choice)
        assert page.url.endswith("/console/calls?outcome=failed")
    visitor.follow(page.locator(".sections a").nth(3))
    page.reload()
    assert (html.get_attribute("lang"), html.get_attribute("data-theme")) == (other, "dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    turn(visitor, "theme=light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


@pytest.mark.parametrize("locale", LOCALES)
def test_signing_out_leaves_nothing_open(visit: OpenVisitor, gateway: Gateway, locale: str) -> None:
    """After it every page leads to the door, the way back of the browser too."""
    visitor = visit(language=locale, javascript=False)
    visitor.sign_in(gateway.key)
    visitor.go("/console/calls")
    visitor.page.locator(".account > summary").click()
    visitor.press(visitor.w["sign_out"])
    assert visitor.page.url.endswith("/console/sign-in")
    visitor.page.go_back()
    assert "/console/sign-in" in visitor.page.url
