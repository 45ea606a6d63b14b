import pytest

from answerback.auth.cross_site import is_cross_site

HOST = "gateway.example"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": f"http://{HOST}"},
        {"origin": "HTTPS://Gateway.Example"},
        {"origin": "https://voice.example.com"},
        {"sec-fetch-site": "same-origin", "origin": f"http://{HOST}"},
        {"sec-fetch-site": "none"},
    ],
)
def test_programs_and_own_pages_may(headers: dict[str, str]) -> None:
    """A page is our own by the name in `Host`, or by that of the public URL."""
    assert not is_cross_site({"host": HOST} | headers, "https://voice.example.com/answerback")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://elsewhere.example"},
        {"origin": f"http://{HOST}:8001"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": f"http://{HOST}"},
    ],
)
def test_other_sites_may_not(headers: dict[str, str]) -> None:
    """Not even by an origin that is no URL."""
    assert is_cross_site({"host": HOST} | headers)
    assert is_cross_site(headers)
