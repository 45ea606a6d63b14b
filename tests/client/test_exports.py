"""Exports as streams."""

import asyncio
import json
import traceback
import tracemalloc
from contextlib import aclosing
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from client.drivers import Driver
from client.unruly_server import Behaviour, UnrulyServer, answer, break_off, say
from gateway import Gateway, prompt

from answerback.client import (
    ApiError,
    AsyncClient,
    Client,
    ConnectionFailed,
    Invalid,
    NotFound,
    Unavailable,
    UnexpectedResponse,
)

MIB = 1024 * 1024


def test_an_export_is_saved_whole(client: Any, driver: Driver, gateway: Gateway, callid: str, target: Path) -> None:
    """And gone through by rows, with the filters of the API."""
    gateway.post(prompt(callid))
    driver.get(client.calls.annotate(callid, reference=callid))
    export = client.export("calls", "ndjson", reference=callid, timezone="Asia/Shanghai")
    driver.get(export.save(target))
    rows = [json.loads(line) for line in target.read_bytes().splitlines()]
    assert [row["callid"] for row in rows] == [callid]
    assert driver.all(export.rows()) == rows
    assert b"".join(driver.all(client.export("calls", "csv", reference=callid))).startswith("\ufeff".encode())


def test_what_cannot_be_exported_is_an_error(client: Any, driver: Driver, target: Path) -> None:
    """And leaves no file."""
    with pytest.raises(Invalid, match=r"^state: calls cannot be filtered by it"):
        driver.get(client.export("calls", state="dead").save(target))
    with pytest.raises(NotFound):
        driver.all(client.export("deliveries", endpoint="nobody"))
    with pytest.raises(Invalid, match=r"^format: rows can be read of ndjson only"):
        driver.all(client.export("calls", "csv").rows())
    assert list(target.parent.iterdir()) == []


def test_an_export_that_breaks_off_leaves_no_file(driver: Driver, unruly: UnrulyServer, target: Path) -> None:
    """What there was before stays."""
    target.write_bytes(b"yesterday's")
    unruly.will(break_off(b'{"callid":"a"}\n'))
    with pytest.raises(ConnectionFailed, match=r"^the export was cut off, it is incomplete: "):
        driver.get(driver.make(unruly.url, "ab_k").export("calls").save(target))
    assert [(path.name, path.read_bytes()) for path in target.parent.iterdir()] == [(target.name, b"yesterday's")]


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b'{"callid":"13788888888"}\n<h1>away</h1>\n', UnexpectedResponse, "the export has a line that is not a JSON object"),
        (b'["13788888888"]\n', UnexpectedResponse, "the export has a line that is not a JSON object"),
        (b'{"callid":"\xff"}\n', UnexpectedResponse, "the export has a line that is not a JSON object"),
        (b"[" * 100_000 + b"\n", UnexpectedResponse, "the export has a line that is not a JSON object"),
        (b"9" * (8 * MIB + 1), UnexpectedResponse, "the export has a line of more than 8 MiB"),
        (b'{"callid":"a"}\n{"callid":', ConnectionFailed, "the export was cut off, it is incomplete: its last line has no end"),
    ],
    ids=["html", "array", "not UTF-8", "deep", "endless", "cut short"],
)  # fmt: skip
def test_rows_that_are_none_are_an_error(
    driver: Driver, unruly: UnrulyServer, body: bytes, kind: type[ApiError], words: str
) -> None:
    """Of the client's own, which does not show them."""
    unruly.will(say(200, body, "application/x-ndjson"))
    with pytest.raises(kind) as caught:
        driver.all(driver.make(unruly.url, "ab_k").export("calls").rows())
    assert str(caught.value) == words
    assert "13788888888" not in "".join(traceback.format_exception(caught.value))


def test_an_export_is_begun_again_while_nothing_has_come(driver: Driver, unruly: UnrulyServer) -> None:
    """So long as another export runs, for example."""
    busy = answer(503, {"detail": "too many exports"}, Retry_After="0")
    unruly.will(busy, busy, say(200, b'{"callid":"a"}\n', "application/x-ndjson"), busy)
    assert driver.all(driver.make(unruly.url, "ab_k").export("calls").rows()) == [{"callid": "a"}]
    with pytest.raises(Unavailable, match="too many exports"):
        driver.all(driver.make(unruly.url, "ab_k", retries=0).export("calls"))


def long_body(size: int) -> Behaviour:
    """Answer with so many bytes, made as they are sent."""

    def behave(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(size))
        handler.end_headers()
        line = json.dumps({"callid": "x" * 1000}).encode() + b"\n"
        for _ in range(size // len(line)):
            handler.wfile.write(line)
        handler.wfile.write(b" " * (size % len(line)))

    return behave


def test_a_long_export_is_not_in_memory(driver: Driver, unruly: UnrulyServer, target: Path) -> None:
    """64 MiB go through less than four."""
    unruly.will(long_body(64 * MIB))
    client = driver.make(unruly.url, "ab_k")
    tracemalloc.start()
    try:
        driver.get(client.export("calls").save(target))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert target.stat().st_size == 64 * MIB
    assert peak < 4 * MIB


ME = say(200, b'{"name":"k","role":"viewer","full_numbers":false}')


def test_who_has_seen_enough_may_stop(unruly: UnrulyServer) -> None:
    """The connection is closed, and the client goes on."""
    unruly.will(long_body(64 * MIB), ME)
    with Client(unruly.url, "ab_k") as client:
        rows = client.export("calls").rows()
        assert [row["callid"][:1] for row in islice(rows, 2)] == ["x", "x"]
        rows.close()
        assert client.me().name == "k"


async def _stop_early(url: str) -> str:
    async with AsyncClient(url, "ab_k") as client:
        async with aclosing(client.export("calls").rows()) as rows:
            async for row in rows:
                assert row["callid"][:1] == "x"
                break
        return (await client.me()).name


def test_who_has_seen_enough_of_an_async_export_may_stop(unruly: UnrulyServer) -> None:
    """The same, with `aclosing`."""
    unruly.will(long_body(64 * MIB), ME)
    assert asyncio.run(_stop_early(unruly.url)) == "k"
