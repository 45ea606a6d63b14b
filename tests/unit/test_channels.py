import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.channels import CALLBACK_PATH as PATH
from answerback.intake.channels import ChannelResolver

ALERTS = "alerts-0123456789"
CODES = "codes_0123456789-"


def test_the_open_url_is_the_channel_without_a_token() -> None:
    """`/voice/callback` belongs to the channel that has no token."""
    assert ChannelResolver({"default": None, "alerts": ALERTS}).resolve(PATH) == "default"


def test_a_token_opens_its_channel() -> None:
    """Each token leads to its own channel."""
    channels = ChannelResolver({"default": None, "alerts": ALERTS, "codes": CODES})
    assert channels.resolve(f"{PATH}/{ALERTS}") == "alerts"
    assert channels.resolve(f"{PATH}/{CODES}") == "codes"


def test_without_an_open_channel_the_bare_url_is_nobody_s() -> None:
    """Where every channel has a token, `/voice/callback` is unknown."""
    channels = ChannelResolver({"default": ALERTS})
    assert channels.resolve(PATH) is None
    assert channels.resolve(f"{PATH}/{ALERTS}") == "default"


@pytest.mark.parametrize(
    "tail",
    [
        ALERTS[:-1],
        f"{ALERTS}x",
        ALERTS.upper(),
        f" {ALERTS}",
        "default",
        "alerts",
        "\ud800",
        "号",
    ],
)
def test_another_token_opens_nothing(tail: str) -> None:
    """A token is exact; a channel's name is no token."""
    assert ChannelResolver({"default": None, "alerts": ALERTS}).resolve(f"{PATH}/{tail}") is None


@pytest.mark.parametrize(
    ("path", "channel"),
    [
        (f"{PATH}/", "default"),
        ("//voice//callback", "default"),
        ("/voice/callback///", "default"),
        (f"{PATH}/{ALERTS}/", "alerts"),
        (f"//voice//callback//{ALERTS}//", "alerts"),
        ("/voice", None),
        ("/voice/callbacks", None),
        ("/voice/callbacks/", None),
        ("/x//voice/callback", None),
        (f"{PATH}/{ALERTS}/more", None),
        ("voice/callback", None),
        ("//", None),
    ],
)
def test_slashes_at_the_end_and_doubled_ones_do_not_count(path: str, channel: str | None) -> None:
    """What people make of a URL that they paste is the same URL."""
    assert ChannelResolver({"default": None, "alerts": ALERTS}).resolve(path) == channel


@given(st.text(st.characters(exclude_categories=())))
def test_any_path_below_is_answered(tail: str) -> None:
    """Whatever stands in the URL, the look-up ends in a channel or in None."""
    found = ChannelResolver({"default": None, "alerts": ALERTS}).resolve(f"{PATH}/{tail}")
    assert found == {"": "default", ALERTS: "alerts"}.get(tail.strip("/"))
