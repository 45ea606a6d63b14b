"""What an operator does, without JavaScript, in both languages: endpoints, deliveries, quarantine, keys."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from browser.browser_user import BrowserUser
from browser.conftest import OpenBrowserUser
from browser.sample_data import FAILED
from gateway import Gateway
from receivers.process import Receiver


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A system of the business that takes everything."""
    with Receiver(tmp_path, "new") as receiver:
        yield receiver


def audited(user: BrowserUser) -> list[str]:
    """What Settings says was done, newest first."""
    user.go("/console/settings")
    return user.page.locator("#audit tbody tr td:nth-child(3)").all_inner_texts()


def test_an_endpoint_from_first_to_last(user: BrowserUser, receiver: Receiver) -> None:
    """Filled in wrongly, put right, its secret seen once, tested, switched, given another secret, removed."""
    page, w = user.page, user.w
    user.go("/console/endpoints")
    user.press(w["endpoints_add"])
    user.fill(name="Not Fit!", url="http://user@example.com/hook")
    page.locator('input[value="tencent"]').check()
    page.locator('input[name="outcomes"][value="failed"]').check()
    page.locator("main .more > summary").click()
    user.fill(timeout_s="7.5", concurrency="many")
    user.press(w["endpoints_add"], "main form")
    assert user.notice == w["endpoint_invalid"]
    for field in ("name", "url", "concurrency"):
        assert page.locator(f"#{field}-fault").is_visible()
        assert page.locator(f"#{field}").get_attribute("aria-invalid") == "true"
    assert page.locator("#name").input_value() == "Not Fit!"
    assert page.locator("#timeout_s").input_value() == "7.5"
    assert page.locator('input[value="tencent"]').is_checked()
    assert page.locator('input[name="outcomes"][value="failed"]').is_checked()
    assert user.misfits() == []

    user.fill(name="fresh", url=receiver.url, concurrency="2")
    user.press(w["endpoints_add"], "main form")
    first = page.locator(".secret").inner_text()
    assert first.startswith("whsec_")
    user.press(w["secret_kept"])
    assert first not in page.content()

    user.press(w["endpoint_test"])
    assert w["tested_taken"] in user.notice
    user.press(w["endpoint_disable"])
    assert user.notice == w["done_endpoint_disabled"]
    assert w["health_off"] in page.locator("h1").inner_text()
    user.press(w["endpoint_enable"])
    assert user.notice == w["done_endpoint_enabled"]
    user.press(w["endpoint_rotate"])
    assert page.locator(".secret").inner_text() not in ("", first)
    user.press(w["secret_kept"])
    user.press(w["endpoint_edit"])
    page.locator("main .more > summary").click()
    user.fill(timeout_s="9")
    user.press(w["endpoint_save"])
    assert user.notice == w["done_endpoint_changed"]

    user.press(w["endpoint_remove"])
    user.press(w["endpoint_remove"], "main form", stays=True)  # the box is not ticked: the browser keeps the form
    assert page.url.endswith("/fresh/remove")
    page.locator('input[name="sure"]').check()
    user.press(w["endpoint_remove"], "main form")
    assert user.notice == w["done_endpoint_removed"]
    assert page.locator("h2").get_by_text("fresh", exact=True).count() == 0
    reported = ("removed", "changed", "secret_rotated", "enabled", "disabled", "tested", "added")
    assert audited(user)[: len(reported)] == [w[f"audit_endpoint_{what}"] for what in reported]


def test_an_endpoint_that_refuses_is_shown_as_such(user: BrowserUser) -> None:
    """A test that is not taken shows the answer and leaves the page usable."""
    user.go("/console/endpoints/broken")
    user.press(user.w["endpoint_test"])
    assert user.w["tested_failed"] in user.notice
    assert "HTTP 500" in user.notice


def test_a_delivery_goes_out_again(user: BrowserUser) -> None:
    """From its call's page, and one is back there; from its own page too."""
    user.go(f"/console/calls/{FAILED}")
    user.press(user.w["delivery_retry"])
    assert user.notice == user.w["done_retried"]
    assert f"/console/calls/{FAILED}" in user.page.url
    user.follow(user.page.locator("h3 a").first)
    user.press(user.w["delivery_retry"])
    assert user.notice == user.w["done_retried"]
    assert "/console/deliveries/" in user.page.url


def test_a_range_is_replayed(
    user: BrowserUser, gateway: Gateway, receiver: Receiver, request: pytest.FixtureRequest
) -> None:
    """What is wrong with the range is said beside it; the page of the replay says when it is done."""
    name = f"late-{request.node.callspec.params['user'][:2]}"
    headers = {"Authorization": f"Bearer {gateway.key}"}
    with httpx.Client(base_url=gateway.url, headers=headers, trust_env=False, verify=False) as client:
        made = {"name": name, "url": receiver.url.replace("told", "nowhere"), "channel": "default", "enabled": False}
        client.post("/v1/endpoints", json=made).raise_for_status()
        since, until = "2020-01-01T00:00", "2035-01-01T00:00"
        user.go(f"/console/endpoints/{name}")
        user.fill(since=until, until=since)
        user.press(user.w["replay_title"], ".replay")
        assert user.page.locator(".fault").first.inner_text() == user.w["replay_invalid_order"]
        assert user.page.locator("#since").input_value().startswith(until)
        user.fill(since=since, until=until)
        user.choose(outcome="failed")
        user.press(user.w["replay_title"], ".replay")
        assert "/replays/" in user.page.url
        user.page.locator("h1").get_by_text(user.w["replay_done"]).wait_for()
        client.delete(f"/v1/endpoints/{name}").raise_for_status()


def test_quarantine_is_looked_through(user: BrowserUser, gateway: Gateway) -> None:
    """A body is seen, read again and still refused with the reason, and thrown away; so are ticked ones."""
    w, page = user.w, user.page
    for junk in (b"junk of mine 1", b"junk of mine 2"):
        gateway.post(junk)
    user.go("/console/quarantine")
    user.follow(page.locator(".quarantine tbody a").first)
    assert "junk of mine 2" in user.text
    user.press(w["quarantine_retry"])
    assert user.notice.startswith(w["quarantine_still"].partition("%")[0])
    user.press(w["quarantine_drop"])
    assert user.notice == w["done_dropped"]
    user.press(w["quarantine_drop_chosen"])
    assert user.notice == w["done_drop_none"]
    page.locator('input[name="id"]').first.check()
    user.press(w["quarantine_drop_chosen"])
    assert user.notice == w["done_dropped"]
    user.press(w["quarantine_retry_all"])
    looked_at = gateway.get("/v1/quarantine").json()["items"]
    assert user.notice.startswith((w["quarantine_requeued"] % (len(looked_at), 0, len(looked_at)))[:12])


def test_a_key_lives_until_it_is_revoked(
    user: BrowserUser, visit: OpenBrowserUser, request: pytest.FixtureRequest
) -> None:
    """It is shown once, opens the console for somebody else, and closes it at once when revoked."""
    w, page = user.w, user.page
    name = f"somebody-{request.node.callspec.params['user'][:2]}"
    user.go("/console/settings")
    user.fill(name=name)
    user.choose(role="operator")
    page.get_by_label(w["key_numbers_hint"]).check()
    user.press(w["key_create"], ".key-form")
    key = page.locator(".new-key").inner_text()
    user.go("/console/settings")
    assert key not in page.content()
    user.fill(name=name)
    user.press(w["key_create"], ".key-form")
    assert w["key_not_made"] in user.notice

    other = visit(key, javascript=False)
    assert other.go("/console/endpoint/new") == 200
    row = page.locator("#keys tr").filter(has_text=name)
    row.locator("summary").click()
    user.follow(row.get_by_role("button", name=w["key_revoke_now"]))
    assert user.notice == w["done_key_revoked"]
    other.go("/console/calls")
    assert "/console/sign-in" in other.page.url
