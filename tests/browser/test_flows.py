"""What a reader does about calls, without JavaScript, in both languages: sign in, find, read, reveal, take along."""

import re
from pathlib import Path

import pytest
from browser.browser_user import BrowserUser
from browser.conftest import LOCALES, OpenBrowserUser
from browser.sample_data import ANSWERED
from gateway import Gateway

A_PAGE = 50
FULL = "13800000000"
MASKED = "138****0000"


def rows(user: BrowserUser) -> list[str]:
    """The callids of the list that is on the screen."""
    return user.page.locator(".calls tbody th code").all_inner_texts()


@pytest.mark.parametrize("locale", LOCALES)
def test_a_wrong_key_opens_nothing_and_the_right_one_leads_on(
    visit: OpenBrowserUser, gateway: Gateway, locale: str
) -> None:
    """The page says so beside the field, keeps where one was going, and is left by Enter."""
    user = visit(language=locale, javascript=False)
    user.go("/console/calls?outcome=failed")
    key = user.page.locator('input[name="key"]')
    key.fill("abk_wrong")
    user.enter(key)
    assert user.notice == user.w["sign_in_wrong"]
    assert key.get_attribute("aria-invalid") == "true"
    key.fill(gateway.key)
    user.enter(key)
    assert user.page.url.endswith("/console/calls?outcome=failed")


def test_calls_are_filtered(user: BrowserUser) -> None:
    """By outcome, channel and range, each as the form says, and the choice stays in the form."""
    user.go("/console/calls")
    user.choose(outcome="failed")
    user.press(user.w["filter"])
    assert set(rows(user)) == {f"failed-{n:02}" for n in range(12)}
    user.choose(outcome="", channel="codes", range="7d")
    user.press(user.w["filter"])
    assert set(rows(user)) == {f"unanswered-{n}" for n in range(12)}
    assert user.page.locator("#channel").input_value() == "codes"
    user.press(user.w["reset"])
    assert len(rows(user)) == A_PAGE


def test_a_range_without_days_is_asked_for_again(user: BrowserUser) -> None:
    """What is wrong is said beside the field."""
    user.go("/console/calls?range=custom&since=2026-13-99&until=x")
    assert user.page.locator("#range-fault").inner_text()
    assert user.page.locator("#since").is_visible()


def test_a_call_is_found(user: BrowserUser) -> None:
    """By callid, by reference, by number; and what is not there is said, with what was sought."""
    for sought in (ANSWERED, "order-1"):
        user.go("/console/calls")
        user.fill(find=sought)
        user.press(user.w["calls_find_go"])
        assert user.page.url.endswith(f"/console/calls/{ANSWERED}?channel=default")
    user.go("/console/calls")
    user.fill(find="<b>nobody</b>")
    user.press(user.w["calls_find_go"])
    assert user.w["calls_none_found"] % "<b>nobody</b>" in user.text


def test_pages_go_on_and_come_back(user: BrowserUser) -> None:
    """Older, then newest again; no call twice."""
    user.go("/console/calls?channel=default")
    first = rows(user)
    user.press(user.w["older"])
    second = rows(user)
    assert second
    assert not set(first) & set(second)
    assert "channel=default" in user.page.url
    user.press(user.w["newest"])
    assert rows(user) == first


def test_a_number_is_revealed_until_the_page_is_left(user: BrowserUser) -> None:
    """It is masked, shown on demand, masked again, and Settings tells who saw it."""
    user.go(f"/console/calls/{ANSWERED}")
    assert MASKED in user.text
    assert FULL not in user.page.content()
    user.press(user.w["call_reveal"])
    assert FULL in user.text
    assert user.notice == user.w["call_revealed"]
    user.press(user.w["call_mask"])
    assert FULL not in user.page.content()
    user.go("/console/settings")
    events = user.page.locator("#audit tbody tr").all_inner_texts()
    assert any(user.w["audit_numbers_revealed"] in event and ANSWERED in event for event in events)


@pytest.mark.parametrize("locale", LOCALES)
def test_an_export_is_what_a_spreadsheet_opens(
    visit: OpenBrowserUser, gateway: Gateway, locale: str, tmp_path: Path
) -> None:
    """CSV with the mark that tells Excel it is UTF-8, with the calls that are filtered for, numbers masked."""
    user = visit(gateway.key, language=locale, javascript=False)
    user.go("/console/calls?outcome=failed")
    user.page.locator("details.menu > summary").click()
    with user.page.expect_download() as coming:
        user.press("CSV", stays=True)
    coming.value.save_as(tmp_path / "calls.csv")
    content = (tmp_path / "calls.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    assert b"failed-00" in content
    assert b"answered-00" not in content
    assert not re.search(rb"(?<!\d)1[3-9]\d{9}(?!\d)", content)


def turn(user: BrowserUser, choice: str) -> None:
    """Choose a language or an appearance in the account's menu."""
    user.page.locator(".account > summary").click()
    user.follow(user.page.locator(f'.account a[href*="{choice}"]'))


def test_language_and_appearance_stay_as_chosen(user: BrowserUser) -> None:
    """Over a link and a reload; choosing one leads back to the same page."""
    page, html = user.page, user.page.locator("html")
    user.go("/console/calls?outcome=failed")
    other = "zh-CN" if html.get_attribute("lang") == "en" else "en"
    for choice in (f"lang={other[:2]}", "theme=dark"):
        turn(user, choice)
        assert page.url.endswith("/console/calls?outcome=failed")
    user.follow(page.locator(".sections a").nth(3))
    page.reload()
    assert (html.get_attribute("lang"), html.get_attribute("data-theme")) == (other, "dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    turn(user, "theme=light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


@pytest.mark.parametrize("locale", LOCALES)
def test_signing_out_leaves_nothing_open(visit: OpenBrowserUser, gateway: Gateway, locale: str) -> None:
    """After it every page leads to the door, the way back of the browser too."""
    user = visit(language=locale, javascript=False)
    user.sign_in(gateway.key)
    user.go("/console/calls")
    user.page.locator(".account > summary").click()
    user.press(user.w["sign_out"])
    assert user.page.url.endswith("/console/sign-in")
    user.page.go_back()
    assert "/console/sign-in" in user.page.url
