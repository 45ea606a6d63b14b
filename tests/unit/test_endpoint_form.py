from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.console.model.endpoint_form import (
    EndpointForm,
    InvalidForm,
    diff_settings,
    form_from_endpoint,
    parse_form,
    validate_form,
)
from answerback.domain.endpoints import Endpoint, EndpointConfig, PayloadFormat
from answerback.domain.models import CallbackKind, Outcome

CHANNELS = ("default", "alerts")
FIT = EndpointForm(name="crm", channel="default", url="https://crm.example.com/voice")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def endpoint(**defined: Any) -> Endpoint:
    """An endpoint as the ledger holds it."""
    return Endpoint(
        id=3,
        name="crm",
        channel="default",
        config=EndpointConfig(**{"url": "https://crm.example.com/voice"} | defined),
        enabled=True,
        disabled_reason=None,
        secret="whsec_x",
        previous_secret=None,
        previous_secret_expires_at=None,
        from_config=False,
        created_at=NOON,
        updated_at=NOON,
        consecutive_failures=0,
        paused_until=None,
    )


def sent(**fields: object) -> EndpointForm:
    """The form as a browser sends these fields."""
    return parse_form(parse_qs(urlencode(fields, doseq=True), keep_blank_values=True))


def problems(form: EndpointForm) -> dict[str, str]:
    """What is said of each field of a new endpoint."""
    with pytest.raises(InvalidForm) as refused:
        validate_form(form, CHANNELS, None)
    return dict(refused.value.problems)


def test_a_form_is_read_as_a_browser_sends_it() -> None:
    """Spaces around are dropped, several ticks are several values, what is not ticked is off."""
    form = sent(name=" crm ", channel="alerts", url=" https://x/y ", kinds=["prompt", "key"], enabled="yes")
    assert (form.name, form.channel, form.url) == ("crm", "alerts", "https://x/y")
    assert form.kinds == ("prompt", "key")
    assert (form.enabled, form.notify_on_update) == (True, False)


def test_a_fit_form_becomes_an_endpoint() -> None:
    """Every field is taken over as its type."""
    form = FIT._replace(
        format="tencent",
        kinds=("code",),
        outcomes=("failed",),
        notify_on_update=True,
        timeout_s="2.5",
        concurrency="16",
    )
    assert validate_form(form, CHANNELS, None).endpoint_config() == EndpointConfig(
        url=FIT.url,
        format=PayloadFormat.TENCENT,
        kinds=(CallbackKind.CODE,),
        outcomes=(Outcome.FAILED,),
        notify_on_update=True,
        timeout_s=2.5,
        concurrency=16,
    )


def test_what_is_left_empty_is_not_given() -> None:
    """No secret, no certificate: they are made up, or not used."""
    settings = validate_form(FIT, CHANNELS, None)
    assert (settings.secret, settings.certificate) == (None, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Not A Name"),
        ("name", "42"),
        ("channel", "nowhere"),
        ("channel", ""),
        ("url", ""),
        ("url", "ftp://x"),
        ("url", "https://user@x/"),
        ("url", "https://x/#part"),
        ("format", "xml"),
        ("kinds", ("nothing",)),
        ("outcomes", ("nothing",)),
        ("timeout_s", ""),
        ("timeout_s", "0"),
        ("timeout_s", "soon"),
        ("concurrency", "0"),
        ("concurrency", "9999"),
        ("headers", "Host: other"),
        ("headers", "X-Token: …"),
        ("success", "3xx"),
        ("failure_codes", "many"),
        ("proxy", "proxy:3128"),
        ("retry_schedule_s", "5, 0"),
        ("retry_schedule_s", "soon"),
        ("number_prefixes", "138, 13800000000"),
        ("reference_prefixes", "x" * 129),
    ],
)
def test_a_problem_is_said_of_its_field(field: str, value: Any) -> None:
    """Beside the field, and only there."""
    assert list(problems(FIT._replace(**{field: value}))) == [field]


def test_all_problems_are_said_at_once() -> None:
    """Nobody has to send a form three times to hear of three faults."""
    form = FIT._replace(name="No", channel="nowhere", url="x", timeout_s="no")
    assert set(problems(form)) == {"name", "channel", "url", "timeout_s"}


def test_the_name_of_an_endpoint_that_is_there_is_not_looked_at() -> None:
    """It cannot be changed, so it cannot be wrong."""
    assert validate_form(FIT._replace(name="Old Name"), CHANNELS, endpoint()).url == FIT.url


def test_a_form_is_filled_in_with_what_the_endpoint_is() -> None:
    """Sent back untouched, it changes nothing."""
    known = endpoint(kinds=(CallbackKind.KEY,), outcomes=(Outcome.ANSWERED,), timeout_s=0.25, certificate="crm")
    filters: dict[str, Any] = {
        "failure_codes": (5, 8),
        "number_prefixes": ("138", "+852"),
        "reference_prefixes": ("order-", "a b"),
    }
    filters |= {"retry_schedule_s": (0.5, 30.0, 43_200.0)}
    known = msgspec.structs.replace(known, config=msgspec.structs.replace(known.config, **filters))
    form = form_from_endpoint(known)
    assert diff_settings(validate_form(form, CHANNELS, known), known) == (None, None)


def test_only_what_changed_is_changed() -> None:
    """Another channel alone leaves the config as it is, and the other way round."""
    known = endpoint()
    moved = validate_form(form_from_endpoint(known)._replace(channel="alerts"), CHANNELS, known)
    assert diff_settings(moved, known) == ("alerts", None)
    slower = validate_form(form_from_endpoint(known)._replace(timeout_s="20"), CHANNELS, known)
    assert diff_settings(slower, known) == (None, EndpointConfig(url=FIT.url, timeout_s=20.0))


@given(st.dictionaries(st.sampled_from(EndpointForm._fields), st.lists(st.text(max_size=40), max_size=3)))
def test_any_form_is_an_endpoint_or_is_refused(fields: dict[str, list[str]]) -> None:
    """Whatever is sent, the answer names known fields, and nothing breaks."""
    try:
        validate_form(parse_form(fields), CHANNELS, None)
    except InvalidForm as invalid:
        assert set(invalid.problems) <= set(EndpointForm._fields)  # noqa: PT017  # a fit one is as good


def test_header_values_are_not_shown_and_are_kept() -> None:
    """A line with … keeps its value, a line that is deleted deletes its header, a new one is added."""
    known = endpoint(headers={"X-Token": "s3cret", "X-Team": "voice"})
    form = form_from_endpoint(known)
    assert form.headers == "X-Token: …\nX-Team: …"
    assert diff_settings(validate_form(form, CHANNELS, known), known) == (None, None)
    edited = validate_form(form._replace(headers="x-token: …\r\nX-New: a:b\r\n"), CHANNELS, known)
    assert edited.endpoint_config().headers == {"x-token": "s3cret", "X-New": "a:b"}


def test_header_values_are_not_kept_for_another_host() -> None:
    """Or whoever may change the URL could have them sent to a place of their own."""
    known = endpoint(headers={"X-Token": "s3cret"})
    with pytest.raises(InvalidForm, match="headers: X-Token needs its value"):
        validate_form(form_from_endpoint(known)._replace(url="https://evil.example/"), CHANNELS, known)
    by_proxy = form_from_endpoint(known)._replace(proxy="http://evil.example:3128")
    assert validate_form(by_proxy, CHANNELS, known).endpoint_config().headers == {"X-Token": "s3cret"}  # inside TLS
    plain = endpoint(headers={"X-Token": "s3cret"}, url="http://crm.example.com/voice")
    with pytest.raises(InvalidForm, match="headers: X-Token needs its value"):
        validate_form(form_from_endpoint(plain)._replace(proxy=by_proxy.proxy), CHANNELS, plain)
    same_host = form_from_endpoint(known)._replace(url="https://crm.example.com/other")
    assert validate_form(same_host, CHANNELS, known).endpoint_config().headers == {"X-Token": "s3cret"}
