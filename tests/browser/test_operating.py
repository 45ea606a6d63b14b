"""What an operator does, without JavaScript, in both languages: endpoints, deliveries, quarantine, keys."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from browser.browser_user import Visitor
from browser.conftest import OpenVisitor
from browser.sample_data import FAILED
from gateway import Gateway
from receivers.process import Receiver


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A system of the business that takes everything."""
    with Receiver(tmp_path, "new") as receiver:
        yield receiver


def audited(visitor: Visitor) -> list[str]:
    """What Settings says was done, newest first."""
    visitor.go("/console/settings")
    return visitor.page.locator("#audit tbody tr td:nth-child(3)").all_inner_texts()


def test_an_endpoint_from_first_to_last(visitor: Visitor, receiver: Receiver) -> None:
    """Filled in wrongly, put right, its secret seen once, tested, switched, given another secret, removed."""
    page, w = visitor.page, visitor.w
    visitor.go("/console/endpoints")
    visitor.press(w["endpoints_add"])
    visitor.fill(name="Not Fit!", url="http://user@example.com/hook")
    page.locator('input[value="tencent"]').check()
    page.locator('input[name="outcomes"][value="failed"]').check()
    page.locator("main .more > summary").click()
    visitor.fill(timeout_s="7.5", concurrency="many")
    visitor.press(w["endpoints_add"], "main form")
    assert visitor.notice == w["endpoint_unfit"]
    for field in ("name", "url", "concurrency"):
        assert page.locator(f"#{field}-fault").is_visible()
        assert page.locator(f"#{field}").get_attribute("aria-invalid") == "true"
    assert page.locator("#name").input_value() == "Not Fit!"
    assert page.locator("#timeout_s").input_value() == "7.5"
    assert page.locator('input[value="tencent"]').is_checked()
    assert page.locator('input[name="outcomes"][value="failed"]').is_checked()
    assert visitor.misfits() == []

    visitor.fill(name="fresh", url=receiver.url, concurrency="2")
    visitor.press(w["endpoints_add"], "main form")
    first = page.locator(".secret").inner_text()
    assert first.startswith("whsec_")
    visitor.press(w["secret_kept"])
    assert first not in page.content()

    visitor.press(w["endpoint_test"])
    assert w["tested_taken"] in visitor.notice
    visitor.press(w["endpoint_disable"])
    assert visitor.notice == w["done_endpoint_disabled"]
    assert w["health_off"] in page.locator("h1").inner_text()
    visitor.press(w["endpoint_enable"])
    assert visitor.notice == w["done_endpoint_enabled"]
    visitor.press(w["endpoint_rotate"])
    assert page.locator(".secret").inner_text() not in ("", first)
    visitor.press(w["secret_kept"])
    visitor.press(w["endpoint_edit"])
    page.locator("main .more > summary").click()
    visitor.fill(timeout_s="9")
    visitor.press(w["endpoint_save"])
    assert visitor.notice == w["done_endpoint_changed"]

    visitor.press(w["endpoint_remove"])
    visitor.press(w["endpoint_remove"], "main form", stays=True)  # the box is not ticked: the browser keeps the form
    assert page.url.endswith("/fresh/remove")
    page.locator('input[name="sure"]').check()
    visitor.press(w["endpoint_remove"], "main form")
    assert visitor.notice == w["done_endpoint_removed"]
    assert page.locator("h2").get_by_text("fresh", exact=True).count() == 0
    told = ("removed", "changed", "secret_rotated", "enabled", "disabled", "tested", "added")
    assert audited(visitor)[: len(told)] == [w[f"audit_endpoint_{what}"] for what in told]


def test_an_endpoint_that_refuses_is_told_as_such(visitor: Visitor) -> None:
    """A test that is not taken shows the answer and leaves the page usable."""
    visitor.go("/console/endpoints/broken")
    visitor.press(visitor.w["endpoint_test"])
    assert visitor.w["tested_failed"] in visitor.notice
    assert "HTTP 500" in visitor.notice


def test_a_delivery_goes_out_again(visitor: Visitor) -> None:
    """From its call's page, and one is back there; from its own page too."""
    visitor.go(f"/console/calls/{FAILED}")
    visitor.press(visitor.w["delivery_retry"])
    assert visitor.notice == visitor.w["done_retried"]
    assert f"/console/calls/{FAILED}" in visitor.page.url
    visitor.follow(visitor.page.locator("h3 a").first)
    visitor.press(visitor.w["delivery_retry"])
    assert visitor.notice == visitor.w["done_retried"]
    assert "/console/deliveries/" in visitor.page.url


def test_a_range_is_told_again(
    visitor: Visitor, gateway: Gateway, receiver: Receiver, request: pytest.FixtureRequest
) -> None:
    """What is wrong with the range is said beside it; the page of the replay says when it is done."""
    name = f"late-{request.node.callspec.params['visitor'][:2]}"
    headers = {"Authorization": f"Bearer {gateway.key}"}
    with httpx.Client(base_url=gateway.url, headers=headers, trust_env=False) as client:
        made = {"name": name, "url": receiver.url.replace("told", "nowhere"), "channel": "default", "enabled": False}
        client.post("/v1/endpoints", json=made).raise_for_status()
        since, until = "2020-01-01T00:00", "2035-01-01T00:00"
        visitor.go(f"/console/endpoints/{name}")
        visitor.fill(since=until, until=since)
        visitor.press(visitor.w["replay_start"], ".replay")
        assert visitor.page.locator(".fault").first.inner_text() == visitor.w["replay_unfit_order"]
        assert visitor.page.locator("#since").input_value().startswith(until)
        visitor.fill(since=since, until=until)
        visitor.choose(outcome="failed")
        visitor.press(visitor.w["replay_start"], ".replay")
        assert "/replays/" in visitor.page.url
        visitor.page.locator("h1").get_by_text(visitor.w["replay_done"]).wait_for()
        client.delete(f"/v1/endpoints/{name}").raise_for_status()


def test_quarantine_is_looked_through(visitor: Visitor, gateway: Gateway) -> None:
    """A body is seen, read again and still refused with the reason, and thrown away; so are ticked ones."""
    w, page = visitor.w, visitor.page
    for junk in (b"junk of mine 1", b"junk of mine 2"):
        gateway.post(junk)
    visitor.go("/console/quarantine")
    visitor.follow(page.locator(".quarantine tbody a").first)
    assert "junk of mine 2" in visitor.text
    visitor.press(w["quarantine_retry"])
    assert visitor.notice.startswith(w["quarantine_still"].partition("%")[0])
    visitor.press(w["quarantine_drop"])
    assert visitor.notice == w["done_dropped"]
    visitor.press(w["quarantine_drop_chosen"])
    assert visitor.notice == w["done_drop_none"]
    page.locator('input[name="id"]').first.check()
    visitor.press(w["quarantine_drop_chosen"])
    assert visitor.notice == w["done_dropped"]
    visitor.press(w["quarantine_retry_all"])
    looked_at = gateway.get("/v1/quarantine").json()["items"]
    assert visitor.notice.startswith((w["quarantine_retried"] % (len(looked_at), 0, len(looked_at)))[:12])


def test_a_key_lives_until_it_is_revoked(visitor: Visitor, visit: OpenVisitor, request: pytest.FixtureRequest) -> None:
    """It is shown once, opens the console for somebody else, and closes it at once when revoked."""
    w, page = visitor.w, visitor.page
    name = f"somebody-{request.node.callspec.params['visitor'][:2]}"
    visitor.go("/console/settings")
    visitor.fill(name=name)
    visitor.choose(role="operator")
    page.get_by_label(w["key_numbers_hint"]).check()
    visitor.press(w["key_create"], ".key-form")
    key = page.locator(".new-key").inner_text()
    visitor.go("/console/settings")
    assert key not in page.content()
    visitor.fill(name=name)
    visitor.press(w["key_create"], ".key-form")
    assert w["key_not_made"] in visitor.notice

    other = visit(key, javascript=False)
    assert other.go("/console/endpoint/new") == 200
    row = page.locator("#keys tr").filter(has_text=name)
    row.locator("summary").click()
    visitor.follow(row.get_by_role("button", name=w["key_revoke_now"]))
    assert visitor.notice == w["done_key_revoked"]
    other.go("/console/calls")
    assert "/console/sign-in" in other.page.url
