from urllib.parse import parse_qs, unquote, urljoin, urlsplit

import pytest
from builders import CALLIDS
from hypothesis import given

from answerback.console.links import Links

LINKS = Links()


def meant(url: str) -> str:
    """The callid that the server reads in an address, after a browser has resolved it."""
    parts = urlsplit(urljoin("http://gateway/console/calls", url))
    query = parse_qs(parts.query)
    return query["callid"][0] if parts.path == "/console/call" else unquote(parts.path).removeprefix("/console/calls/")


@given(CALLIDS)
def test_every_callid_has_an_address_of_its_own(callid: str) -> None:
    """Whatever it holds, it comes back from the address as it was."""
    assert meant(LINKS.call(callid)) == callid


@pytest.mark.parametrize("callid", ["..", ".", "a/../../b", "a//b", "/", "?x=1", "#", "a%2fb", " a ", "呼叫", "<&\"'>"])
def test_a_callid_cannot_lead_elsewhere(callid: str) -> None:
    """Not even one that a browser would take for a way up."""
    assert meant(LINKS.call(callid)) == callid
    assert LINKS.call(callid).isascii()


def test_a_channel_is_named_where_it_is_given() -> None:
    """Two channels may hold the same callid."""
    assert LINKS.call("x", "a b") == "/console/calls/x?channel=a+b"
    assert LINKS.call("..", "a") == "/console/call?callid=..&channel=a"


def test_what_is_not_chosen_is_not_in_the_address() -> None:
    """Empty filters are left out."""
    assert LINKS.list("deliveries", endpoint="crm", state=None) == "/console/deliveries?endpoint=crm"
    assert LINKS.list("deliveries", state="") == "/console/deliveries"


def test_an_endpoint_is_one_part_of_the_path() -> None:
    """Names hold no slash; were there one, it would stay inside."""
    assert LINKS.endpoint("a/b", "edit") == "/console/endpoints/a%2Fb/edit"


def test_a_path_in_front_is_in_every_address() -> None:
    """What a proxy has put in front of ours is where browsers look."""
    links = Links("/answerback")
    assert links.console == "/answerback/console"
    assert links.call("x") == "/answerback/console/calls/x"
    assert links.endpoint("crm", "edit") == "/answerback/console/endpoints/crm/edit"
    assert [links.contains(path) for path in ("/answerback/console", "/answerback/console/calls", "/console")] == [
        True,
        True,
        False,
    ]
