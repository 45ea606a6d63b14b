"""A server that sends whatever it likes fills nobody's memory, and holds up nobody for long."""

import gzip
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin

import pytest
from client.drivers import Driver
from client.unruly_server import Behaviour, UnrulyServer, answer, flood, say
from pydantic import FailFast

from answerback.client import ApiError, ConnectionFailed, Unavailable, UnexpectedResponse
from answerback.schemas.view import DICTS_FAIL_FAST, View

MIB = 1024 * 1024
BOMB = gzip.compress(bytes(64 * MIB), compresslevel=1)


@pytest.fixture
def client(driver: Driver, unruly: UnrulyServer) -> Any:
    """A client of the unruly server, that tries once."""
    return driver.make(unruly.url, "ab_k", retries=0)


@pytest.fixture
def peak() -> Iterator[Callable[[], int]]:
    """The most bytes that Python had at a time since the beginning of the test."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def me(client: Any) -> Any:
    """Ask for an answer."""
    return client.me()


def rows(client: Any) -> Any:
    """Ask for a stream."""
    return client.export("calls").rows()


def events(client: Any) -> Any:
    """Ask for a stream that connects again."""
    return client.events()


def ask(driver: Driver, wanted: Any) -> Any:
    """Wait for the answer, or for all of a stream."""
    return driver.all(wanted) if hasattr(wanted, "__iter__") or hasattr(wanted, "__aiter__") else driver.get(wanted)


@pytest.mark.parametrize(
    ("wants", "behaviour", "kind", "words", "most_mib"),
    [
        (me, flood(200, b'{"name":"'), UnexpectedResponse, "the answer has more than 32 MiB", 80),
        (me, flood(500, b'{"detail":"'), ApiError, "the gateway answered 500 Internal Server Error", 2),
        (rows, flood(503), Unavailable, "the gateway answered 503 Service Unavailable", 2),
        (rows, flood(200, b'{"callid":'), UnexpectedResponse, "the export has a line of more than 8 MiB", 40),
        (events, flood(200, b"id: 1\n"), UnexpectedResponse, "GET /v1/events has a line of more than 8 MiB", 40),
        (me, flood(200, BOMB, Content_Encoding="gzip"), UnexpectedResponse, "the answer is compressed", 2),
        (me, flood(502, BOMB, Content_Encoding="gzip"), Unavailable, "the gateway answered 502 Bad Gateway", 2),
        (rows, flood(200, BOMB, Content_Encoding="gzip"), UnexpectedResponse, "the answer is compressed", 2),
        (events, flood(200, BOMB, Content_Encoding="gzip"), UnexpectedResponse, "the answer is compressed", 2),
    ],
)
def test_what_has_no_end_is_not_read_to_its_end(
    client: Any,
    driver: Driver,
    unruly: UnrulyServer,
    peak: Callable[[], int],
    wants: Callable[[Any], Any],
    behaviour: Behaviour,
    kind: type[ApiError],
    words: str,
    most_mib: int,
) -> None:
    """Of an answer so much, of an error its beginning, of a stream a line; and nothing that would have to be unpacked."""
    unruly.will(behaviour)
    with pytest.raises(kind) as caught:
        ask(driver, wants(client))
    assert str(caught.value).startswith(words)
    assert peak() < most_mib * MIB
    assert unruly.sent_bytes < (most_mib + 16) * MIB  # with what is under way


@pytest.mark.parametrize("status", [200, 500])
def test_what_comes_drop_by_drop_comes_too_late(driver: Driver, unruly: UnrulyServer, status: int) -> None:
    """Though the server is never silent for long."""
    unruly.will(flood(status, every_s=0.05))
    since_s = time.monotonic()
    with pytest.raises(ConnectionFailed, match="no answer in time"):
        driver.get(driver.make(unruly.url, "ab_k", timeout_s=0.5).me())
    assert time.monotonic() - since_s < 10


def test_an_error_says_no_more_than_anybody_reads(client: Any, driver: Driver, unruly: UnrulyServer) -> None:
    """However long its detail is, and whatever is in it."""
    unruly.will(answer(422, {"detail": "x" * 60_000, "field": "y" * 5_000}), say(400, b"[" * 50_000))
    with pytest.raises(ApiError) as caught:
        driver.get(client.me())
    assert (str(caught.value), caught.value.field) == ("x" * 1000 + "…", "y" * 1000 + "…")
    with pytest.raises(ApiError, match=r"^the gateway answered 400 Bad Request$"):
        driver.get(client.me())


def test_one_wrong_item_is_enough() -> None:
    """Pydantic makes a kilobyte of an error for each that is wrong: every list stops at the first."""

    def views(kind: type[View]) -> Iterator[type[View]]:
        for one in kind.__subclasses__():
            yield one
            yield from views(one)

    def collections(annotation: Any, metadata: Any = ()) -> Iterator[tuple[Any, bool]]:
        if hasattr(annotation, "__metadata__"):
            yield from collections(annotation.__origin__, annotation.__metadata__[0].metadata)
        elif get_origin(annotation) in ((list, dict) if DICTS_FAIL_FAST else (list,)) and Any not in get_args(
            annotation
        ):
            yield annotation, any(isinstance(one, FailFast) for one in metadata)
        else:
            for one in get_args(annotation):
                yield from collections(one)

    found = {
        (view.__name__, name): stops
        for view in views(View)
        for name, field in view.model_fields.items()
        for _, stops in collections(field.annotation, field.metadata)
    }
    assert len(found) > 20
    assert [place for place, stops in found.items() if not stops] == []
