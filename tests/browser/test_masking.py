"""Somebody who may only look: sees no number in full, is offered nothing they may not do, and is refused it."""

import re

import pytest
from browser.conftest import OpenVisitor
from browser.filling import ANSWERED
from browser.test_pages import PAGES
from gateway import Gateway

FULL_NUMBER = re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)")
FORBIDDEN = ("endpoint-new",)
FORMS = (
    "endpoints/broken/test",
    "endpoints/broken/disable",
    "endpoints/broken/rotate-secret",
    "endpoints/broken/remove",
    "endpoints/broken/edit",
    "endpoints/broken/replay",
    "endpoints/broken/replay-dead",
    "endpoint/new",
    "deliveries/1/retry",
    "quarantine/1/retry",
    "quarantine/retry",
    "quarantine/drop",
    "settings/keys",
    "settings/keys/1/revoke",
)
REVEALING = ("quarantine/1", f"calls/{ANSWERED}")


def test_no_page_holds_a_full_number_or_a_form(visit: OpenVisitor, viewer_key: str) -> None:
    """Not in the text, nor in an attribute or an address; and there is nothing to press that changes anything."""
    visitor = visit(viewer_key)
    for name, path in PAGES.items():
        status = visitor.go(path)
        assert (status == 403) == (name in FORBIDDEN), name
        assert FULL_NUMBER.findall(visitor.page.content()) == [], name
        assert visitor.page.locator('main form[method="post"]').count() == 0, name


@pytest.mark.parametrize(
    ("form", "why"),
    [*((form, "note_forbidden") for form in FORMS), *((form, "note_needs_numbers") for form in REVEALING)],
)
def test_what_is_not_offered_is_refused(
    visit: OpenVisitor, gateway: Gateway, viewer_key: str, form: str, why: str
) -> None:
    """A form that somebody makes up themselves, with a token that fits, is answered with the page that says why not."""
    visitor = visit(viewer_key, javascript=False)
    token = visitor.page.locator('input[name="csrf"]').first.get_attribute("value")
    answer = visitor.context.request.post(
        f"/console/{form}",
        form={"csrf": token or "", "sure": "yes", "id": "1", "name": "mine", "url": "http://example.com"},
        headers={"Origin": gateway.url},
    )
    assert answer.status == 403
    assert visitor.w[why] in answer.text()
    assert not FULL_NUMBER.findall(answer.text())


def test_full_numbers_are_not_exported(visit: OpenVisitor, gateway: Gateway, viewer_key: str) -> None:
    """Whatever the address asks for."""
    visitor = visit(viewer_key, javascript=False)
    refused = visitor.context.request.get("/console/exports/calls.csv?numbers=full", headers={"Origin": gateway.url})
    assert refused.status == 403
    taken = visitor.context.request.get("/console/exports/callbacks.ndjson")
    assert taken.status == 200
    assert not FULL_NUMBER.findall(taken.text())
