"""Exports as a person or a program gets them: over HTTP beside callbacks that come in, and on the command line."""

import csv
import io
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import psutil
import pyarrow.parquet as pq
import pytest
from builders import key_press, received, status
from forking import EXPORT, EXPORTER
from gateway import OK, Gateway, Wire, failure, prompt, run
from gateway import key_press as pressed
from receivers.process import await_true

from answerback.ledger import open_sqlite

MOBILE = "+8613712345678"
MASKED = "+86*******5678"
MANY = 4_500  # more than a page
LARGE = 160
"""So many callbacks of the largest size that no pipe and no socket holds an export of them."""
FILES = [
    *(f"calls.{form}" for form in ("csv", "ndjson", "xlsx", "parquet")),
    *("callbacks.csv", "deliveries.ndjson", "statistics.parquet"),
]
"""Each form, and each of what there is; test_masking.py fetches all that can be combined."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with many calls, some callbacks of all kinds, and many large ones."""
    data_dir = tmp_path_factory.mktemp("filled") / "data"
    fill(data_dir, MANY)
    with Gateway(data_dir) as running:
        for body in (prompt("last", mobile=MOBILE), pressed("last", "*"), failure("failed", failure_reason="=1+1")):
            assert running.post(body).content == OK
        yield running


@pytest.fixture(scope="module")
def download(filled: Gateway) -> Callable[[str], httpx.Response]:
    """A whole file by its name, fetched once."""
    return cache(lambda file: filled.get(f"/v1/exports/{file}"))


def exporting(gateway: Gateway) -> list[psutil.Process]:
    """The processes of its exports, which it has started itself or had forked."""
    gateway_process = psutil.Process(gateway.process.pid)
    parent = gateway_process.parent()
    assert parent is not None
    found = []
    for process in [*gateway_process.children(), *parent.children()]:
        with suppress(psutil.NoSuchProcess):
            if EXPORT in process.cmdline() or process.name() == f"{EXPORTER}{gateway_process.pid}":
                found.append(process)
    return found


def await_exporting(gateway: Gateway, count: int = 1) -> list[psutil.Process]:
    """Wait until it has so many, those before have ended; they."""
    await_true(lambda: len(exporting(gateway)) == count, lambda: str(exporting(gateway)))
    return exporting(gateway)


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Slow:
    """An export that is begun and not read to its end."""

    def __init__(self, gateway: Gateway, who: dict[str, str] | None = None) -> None:
        self._gateway = gateway
        self._who = who or {"Authorization": f"Bearer {gateway.key}"}
        self._stack = ExitStack()

    def __enter__(self) -> Iterator[bytes]:
        client = self._stack.enter_context(
            httpx.Client(base_url=self._gateway.url, timeout=30, trust_env=False, verify=False)
        )
        answer = self._stack.enter_context(client.stream("GET", "/v1/exports/callbacks.ndjson", headers=self._who))
        assert answer.status_code == 200
        self._chunks = answer.iter_raw(1000)  # dropped, it would hang up
        next(self._chunks)
        return self._chunks

    def __exit__(self, *_error: object) -> None:
        self._stack.close()


@pytest.mark.parametrize("file", FILES)
def test_every_file_comes_with_its_name_and_type(download: Callable[[str], httpx.Response], file: str) -> None:
    """A browser keeps it under a name that says what it is, and never shows it from a cache."""
    answer = download(file)
    what, form = file.split(".")
    assert answer.status_code == 200
    types = {
        "csv": "text/csv; charset=utf-8",
        "ndjson": "application/x-ndjson",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "parquet": "application/vnd.apache.parquet",
    }
    assert answer.headers["content-type"] == types[form]
    name = rf'attachment; filename="{what}-\d{{8}}T\d{{6}}Z\.{form}"'
    assert re.fullmatch(name, answer.headers["content-disposition"])
    assert answer.headers["cache-control"] == "no-store"


def test_all_forms_hold_every_call(download: Callable[[str], httpx.Response]) -> None:
    """The same calls in the same order, oldest first, whole."""
    expected = [*(f"call-{n}" for n in range(MANY)), "last", "failed"]
    text = download("calls.csv").content.decode("utf-8-sig")
    assert [row["callid"] for row in csv.DictReader(io.StringIO(text, newline=""))] == expected
    lines = download("calls.ndjson").content.splitlines()
    assert [json.loads(line)["callid"] for line in lines] == expected
    table = pq.read_table(io.BytesIO(download("calls.parquet").content))
    assert table.column("callid").to_pylist() == expected
    book = openpyxl.load_workbook(io.BytesIO(download("calls.xlsx").content), read_only=True)
    assert [row[0] for row in book.worksheets[0].iter_rows(values_only=True)] == ["callid", *expected]


def test_a_line_is_the_call_as_the_api_shows_it(filled: Gateway) -> None:
    """Field for field."""
    (line,) = filled.get("/v1/exports/calls.ndjson", mobile=MOBILE).content.splitlines()
    assert json.loads(line) == filled.call("last")


def test_filters_are_those_of_the_lists(filled: Gateway) -> None:
    """Since and until, outcome, failure code; an endpoint is named."""
    (line,) = filled.get("/v1/exports/calls.ndjson", outcome="failed", failure_code=11).content.splitlines()
    assert json.loads(line)["callid"] == "failed"
    early = filled.get("/v1/exports/calls.csv", since="2026-05-01T12:00:00Z", until="2026-05-01T12:00:01Z")
    assert early.content.count(b"\r\n") == 1 + 1000
    callbacks = filled.get("/v1/exports/callbacks.ndjson", mobile=MOBILE).content.splitlines()
    reported = {(callback["callid"], callback["kind"]) for callback in map(json.loads, callbacks)}
    assert reported == {("last", "prompt"), ("last", "key")}


@pytest.mark.parametrize(
    ("path", "query", "status", "field"),
    [
        ("calls.ods", {}, 422, "format"),
        ("people.csv", {}, 422, "dataset"),
        ("calls.csv", {"state": "dead"}, 422, "state"),
        ("calls.csv", {"since": "yesterday"}, 422, "since"),
        ("deliveries.csv", {"mobile": "1"}, 422, "mobile"),
        ("deliveries.csv", {"endpoint": "nobody"}, 404, None),
    ],
)
def test_what_does_not_fit_is_named(
    filled: Gateway, path: str, query: dict[str, str], status: int, field: str | None
) -> None:
    """No file of something else, and no file of everything."""
    answer = filled.get(f"/v1/exports/{path}", **query)
    assert (answer.status_code, answer.json().get("field")) == (status, field)


def made_key(gateway: Gateway, name: str, *, full_numbers: bool) -> dict[str, str]:
    """The header of a new viewer's key."""
    body = {"name": name, "role": "viewer", "full_numbers": full_numbers}
    answer = gateway.client.post("/v1/keys", json=body, headers={"Authorization": f"Bearer {gateway.key}"})
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['key']}"}


@pytest.mark.parametrize("file", ["calls.csv", "callbacks.ndjson"])
def test_numbers_are_masked_unless_the_key_may_see_them(filled: Gateway, file: str) -> None:
    """In the fields and in the raw bodies; who may see them sees all of them."""
    what, today = file.partition(".")[0], {"since": "2026-06-01"}
    who = [made_key(filled, f"{what}-{full}", full_numbers=full == "full") for full in ("masked", "full")]
    masked, full = (filled.client.get(f"/v1/exports/{file}", params=today, headers=key) for key in who)
    assert MOBILE[3:] not in masked.text
    assert MASKED in masked.text
    assert MOBILE in full.text


def test_who_exported_what_is_noted_without_numbers(filled: Gateway) -> None:
    """The audit event names the key, the file, its filters, and whether numbers were full."""
    headers = made_key(filled, "night-shift", full_numbers=True)
    filled.client.get("/v1/exports/calls.csv", params={"mobile": MOBILE, "kind": "code"}, headers=headers)
    event = filled.items("/v1/audit-events", page_size=1)[0]
    assert (event["actor"], event["action"]) == ("night-shift", "exported")
    assert event["target"] == "calls.csv full numbers mobile=… kind=code"


def test_without_a_key_there_is_no_file(filled: Gateway) -> None:
    """Like everything below /v1."""
    assert filled.client.get("/v1/exports/calls.csv").status_code == 401


def test_one_export_a_key_and_callbacks_meanwhile(filled: Gateway) -> None:
    """Who reads nothing takes the room of nobody else: another key exports, callbacks are answered, and so is a page."""
    other = made_key(filled, "exporting", full_numbers=False)
    with Slow(filled):
        refused = filled.get("/v1/exports/calls.csv")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "15")
        assert "an export with the key admin is already running" in refused.json()["detail"]
        with Slow(filled, who=other):
            await_exporting(filled, 2)
        await_exporting(filled)
        answer = filled.client.get("/v1/exports/statistics.csv", headers=other)
        assert answer.status_code == 200
        assert filled.post(pressed("failed", "1")).content == OK
    await_exporting(filled, 0)
    assert filled.get("/v1/exports/statistics.csv").status_code == 200


def test_a_reader_that_takes_nothing_is_cut_off(tmp_path: Path) -> None:
    """After server.reader_timeout_s its connection is closed, the process behind it ends, and its key may export again."""
    data_dir = tmp_path / "data"
    fill(data_dir, 1)
    with Gateway(data_dir, settings={"ANSWERBACK_SERVER__READER_TIMEOUT_S": "1"}) as running:
        with Slow(running) as chunks, Slow(running, who=made_key(running, "other", full_numbers=False)):
            await_true(lambda: "answerback_stalled_readers_total 2.0" in running.get("/metrics").text)
            await_exporting(running, 0)
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                list(chunks)
        with Wire(running) as reader:
            asked = b"GET /v1/exports/callbacks.ndjson HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n\r\n"
            reader.send(asked % running.key.encode() * 2)  # the second waits behind the first
            await_true(lambda: "answerback_stalled_readers_total 3.0" in running.get("/metrics").text)
            await_exporting(running, 0)
        assert running.get("/v1/exports/callbacks.ndjson").text.count("\n") == LARGE + 1
        assert "Exception" not in running.stderr


def test_the_process_ends_when_its_client_hangs_up(filled: Gateway) -> None:
    """Nobody goes on reading the ledger for nobody."""
    with Slow(filled):
        await_exporting(filled)
    await_exporting(filled, 0)


def test_a_broken_export_breaks_the_connection(filled: Gateway) -> None:
    """What came so far cannot be taken for the whole, and the log tells of it."""
    with Slow(filled) as chunks:
        (process,) = await_exporting(filled)
        process.kill()
        with pytest.raises(httpx.RemoteProtocolError):
            list(chunks)
    await_true(lambda: "export_aborted" in filled.stderr)
    await_exporting(filled, 0)


def test_the_gateway_does_not_wait_for_an_export(tmp_path: Path) -> None:
    """Asked to stop it ends at once; the client sees that its file is not whole."""
    data_dir = tmp_path / "data"
    fill(data_dir, 1)
    settings = {"ANSWERBACK_INTAKE__SHUTDOWN_TIMEOUT_S": "60"}
    with Gateway(data_dir, settings=settings) as running, Slow(running) as chunks:
        (process,) = exporting(running)
        running.send_signal(signal.SIGTERM)
        with pytest.raises(httpx.RemoteProtocolError):
            list(chunks)
        assert running.wait() == 0
        await_true(lambda: is_gone(process))


def fill(data_dir: Path, count: int) -> None:
    """Put calls into a new ledger, and to the first of them many large callbacks."""
    with closing(open_sqlite(data_dir, allow_unsafe_filesystem=True)) as ledger:
        for start in range(0, count, 4096):
            numbers = range(start, min(start + 4096, count))
            ledger.record([received(status(callid=f"call-{n}"), after_s=n / 1000) for n in numbers])
        raw = b'{"x":"%b"}' % (b"x" * 60_000)
        ledger.record([received(key_press(callid="call-0", key=str(n)), raw=raw) for n in range(LARGE)])


def test_the_process_ends_with_the_gateway(tmp_path: Path) -> None:
    """However the gateway ends: killed, it can tell nobody."""
    data_dir = tmp_path / "data"
    fill(data_dir, 1)
    with Gateway(data_dir, executed=True) as running, Slow(running):
        (process,) = exporting(running)
        os.kill(running.process.pid, signal.SIGKILL)
        await_true(lambda: is_gone(process))


def test_the_command_writes_the_same_file(filled: Gateway, tmp_path: Path) -> None:
    """The file has its name only when it is whole, and its owner alone reads it."""
    file = tmp_path / "calls.csv"
    done = exported(filled, tmp_path, "calls", "--output", file, "--unmask", "--until", "2026-06-01")
    assert done.stdout == ""
    assert done.stderr == f"{MANY:,} calls in {file}\n"
    assert file.read_bytes() == filled.get("/v1/exports/calls.csv", until="2026-06-01").content
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["calls.csv"]


def exported(gateway: Gateway, cwd: Path, *arguments: str | Path) -> Any:
    """Run `answerback export` to its end; it succeeds."""
    done = run("export", *arguments, "--data-dir", gateway.data_dir, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done


def test_dates_are_those_of_the_zone(filled: Gateway, tmp_path: Path) -> None:
    """Over HTTP and on the command line; in UTC where no zone is named."""
    dates = {"since": "2026-05-01", "until": "2026-05-02"}  # the calls begin at noon in UTC, 20:00 in Shanghai
    for timezone, count in (("UTC", MANY), ("Asia/Shanghai", MANY), ("Pacific/Kiritimati", 0)):
        file = filled.get("/v1/exports/calls.ndjson", timezone=timezone, **dates)
        assert file.content.count(b"\n") == count
    options = [f"--{name}={value}" for name, value in dates.items()]
    assert exported(filled, tmp_path, "calls", *options, "--timezone", "Pacific/Kiritimati").stdout.count("\n") == 1
    assert filled.get("/v1/exports/calls.ndjson", timezone="Moon").json()["field"] == "timezone"


def test_the_command_writes_to_standard_output_and_masks_numbers(filled: Gateway, tmp_path: Path) -> None:
    """For a pipe; with --unmask they are shown."""
    shown = exported(filled, tmp_path, "calls", "--format", "ndjson", "--mobile", MOBILE).stdout
    assert json.loads(shown)["mobile"] == MASKED
    shown = exported(filled, tmp_path, "calls", "--format", "ndjson", "--mobile", MOBILE, "--unmask").stdout
    assert json.loads(shown)["mobile"] == MOBILE


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["calls", "--state", "dead"], "state: calls cannot be filtered by it"),
        (["deliveries", "--endpoint", "nobody"], "no endpoint nobody"),
        (["calls", "--output", "nowhere/calls.csv"], "--output: nowhere/calls.csv cannot be written"),
    ],
)
def test_the_command_says_what_is_wrong(filled: Gateway, tmp_path: Path, arguments: list[str], words: str) -> None:
    """In one line, and no file is left."""
    done = run("export", *arguments, "--data-dir", filled.data_dir, cwd=tmp_path)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
