"""Somebody who may only look: sees no number in full, is offered nothing they may not do, and is refused it."""

import re
from collections.abc import Iterator
from html import unescape

import pytest
from browser.sample_data import ANSWERED
from browser.test_pages import PAGES
from console_client import ConsoleClient, signed_in
from gateway import Gateway

from answerback.console.texts import texts

FULL_NUMBER = re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)")
CHANGES = re.compile(r'<main.*<form[^>]*method="post".*</main>', re.DOTALL)
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
    "deliveries/1/replay",
    "quarantine/1/requeue",
    "quarantine/requeue",
    "quarantine/drop",
    "settings/keys",
    "settings/keys/1/revoke",
)
REVEALING = ("quarantine/1", f"calls/{ANSWERED}")


@pytest.fixture(scope="session")
def viewer(gateway: Gateway, viewer_key: str) -> Iterator[ConsoleClient]:
    """That somebody without a browser: no page gets a number or a form from a script, and requests can be made up."""
    with signed_in(gateway, viewer_key) as person:
        yield person


def test_no_page_holds_a_full_number_or_a_form(viewer: ConsoleClient, gateway: Gateway) -> None:
    """Not in the text, nor in an attribute or an address; and there is nothing to press that changes anything."""
    for name, path in PAGES.items():
        page = viewer.client.get(path)
        assert (page.status_code == 403) == (name in FORBIDDEN), name
        assert FULL_NUMBER.findall(page.text) == [], name
        assert not CHANGES.search(page.text), name
    with signed_in(gateway) as admin:
        assert CHANGES.search(admin.get("endpoints/broken")), "an admin finds such a form"


@pytest.mark.parametrize(
    ("form", "why"),
    [*((form, "message_forbidden") for form in FORMS), *((form, "message_needs_numbers") for form in REVEALING)],
)
def test_what_is_not_offered_is_refused(viewer: ConsoleClient, form: str, why: str) -> None:
    """A form that somebody makes up themselves, with a token that fits, is answered with the page that says why not."""
    answer = viewer.post(form, sure="yes", id="1", name="mine", url="http://example.com")
    assert answer.status_code == 403
    assert texts("en")[why] in unescape(answer.text)
    assert not FULL_NUMBER.findall(answer.text)


def test_full_numbers_are_not_exported(viewer: ConsoleClient) -> None:
    """Whatever the address asks for."""
    viewer.get("exports/calls.csv", 403, numbers="full")
    assert not FULL_NUMBER.findall(viewer.get("exports/callbacks.ndjson"))
