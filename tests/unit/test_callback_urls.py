"""The callback URLs as the console shows them."""

import pytest

from answerback.console.model.callback_urls import show_callback_urls

TOKEN = "K3v9sYpW2mQx7LdR5tZa"


@pytest.mark.parametrize(
    ("origin", "local"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000", True),
        ("http://10.0.3.7:8000", True),
        ("http://0.0.0.0:8000", True),
        ("http://localhost:8000", True),
        ("http://gateway:8000", True),
        ("https://voice.example.com/answerback", False),
        ("https://8.8.8.8", False),
    ],
)
def test_a_url_that_the_cloud_cannot_reach_is_known(origin: str, local: bool) -> None:  # noqa: FBT001  # a case
    """This machine, a private network, a name without a dot."""
    assert show_callback_urls({"default": f"{origin}/voice/callback"}, is_admin=True).local == local


def test_a_secret_is_for_administrators() -> None:
    """Others see where it is; a URL without one is open, and hides nothing."""
    secret, open_url = f"https://voice.example.com/voice/callback/{TOKEN}", "https://voice.example.com/voice/callback"
    assert show_callback_urls({"a": secret}, is_admin=True) == ({"a": secret}, True, False, False)
    shown = show_callback_urls({"a": secret}, is_admin=False)
    assert (TOKEN in str(shown), shown.in_full, shown.open) == (False, False, False)
    assert show_callback_urls({"a": open_url}, is_admin=False) == ({"a": open_url}, True, True, False)
