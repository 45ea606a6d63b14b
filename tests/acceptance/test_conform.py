"""`answerback conform` against the gateway, the benchmark's hand-written handler, and receivers that are wrong in one way."""

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from contract.backends import in_memory
from ending import ending
from gateway import CALLBACK, Gateway, environment, run
from ports import port_of, reserve_port
from relay.certificates import found_authority, server_side

from answerback.emulator.conformance import fixes
from answerback.emulator.conformance.checking import RuleResult, check
from answerback.emulator.conformance.receiver_client import ReceiverClient
from answerback.emulator.conformance.rules import RULES

HANDWRITTEN = Path(__file__).parents[2] / "bench" / "servers" / "handwritten.py"
OK = b'{"result":0,"errmsg":"OK"}'


@pytest.fixture(scope="module")
def target() -> Iterator[Gateway]:
    """A gateway of its own, which waits for no disk."""
    with in_memory() as home, Gateway(home / "data") as running:
        yield running


@pytest.fixture(scope="module")
def handwritten() -> Iterator[str]:
    """The callback URL of the benchmark's hand-written handler, which waits for no disk."""
    with in_memory() as home, reserve_port() as reservation:
        port = port_of(reservation)
        command = ending(sys.executable, HANDWRITTEN, "--port", str(port), "--data-dir", home)
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            await_listening(port, process)
            yield f"http://127.0.0.1:{port}{CALLBACK}"
        finally:
            process.kill()
            process.wait()


def await_listening(port: int, process: subprocess.Popen[bytes], timeout_s: float = 20.0) -> None:
    """Wait until somebody listens on `port`."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert process.poll() is None, "it ended"
            assert time.monotonic() < deadline_s, "it does not listen"
            time.sleep(0.05)
        else:
            return


def report(url: str, tmp_path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit status of a check, and its report."""
    done = run("conform", url, "--json", *PATIENT, *options, cwd=tmp_path, timeout_s=100)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def broken(found: dict[str, Any], level: str = "failed") -> set[str]:
    """The rules that a report has at `level`, without warnings of a late answer: they may be the machine's doing."""
    of_the_machine = ("warning", fixes.SLOW.en)
    items = [item for item in found["items"] if (item["level"], item["fix"]) != of_the_machine]
    return {item["rule"] for item in items if item["level"] == level}


# The two that everybody can run.


def test_the_gateway_conforms_without_a_warning(target: Gateway, tmp_path: Path) -> None:
    """Every rule is kept, and again by the gateway that has stored the first run."""
    for _ in range(2):
        status, found = report(f"{target.url}{CALLBACK}", tmp_path)
        assert (broken(found), broken(found, "warning")) == (set(), set())
        assert (status, found["conforms"], found["rules"]) == (0, True, len(RULES))
        assert [item["rule"] for item in found["items"]] == [rule.id for rule in RULES]
        assert all(item["fix"] in (None, fixes.SLOW.en) and item["requests"] for item in found["items"])
    assert target.call("xxxxxx")["mobile"] == "13xxxxxxxxx"


def test_the_handwritten_handler_does_not_conform(handwritten: str, tmp_path: Path) -> None:
    """It knows one kind, wants strings and every field and one Content-Type, and refuses in its framework's words."""
    status, found = report(handwritten, tmp_path)
    kinds = {"code-status", "key-press", "failure", "failure-listed", "failure-other-text", "failure-unlisted"}
    others = {"ints-key-press", "ints-failure", "extra-key-press", "extra-failure"}
    order = {"status-then-failure", "failure-then-status", "status-with-failure", "key-before-status"}
    fields = {"accept-time-missing", "accept-time-null", "accept-time-int", "fee-missing", "fee-null", "fee-int"}
    types = {"type-form", "type-text", "type-other", "type-none"}
    mistakes = {"not-json", "body-empty", "json-no-object", "key-unknown", "callid-missing", "field-ill-typed"}
    racy = {"repeat-at-once", "burst"}  # its commits may meet
    assert broken(found) - racy == kinds | others | order | fields | types | mistakes | {"ints-status"}
    assert broken(found, "warning") - racy == {"method-get", "body-huge"}
    assert (status, found["conforms"]) == (1, False)
    fix = {item["rule"]: item["fix"] for item in found["items"]}
    assert fix["key-press"] == fixes.KINDS.en
    assert fix["type-form"] == fixes.MEDIA_TYPE.en
    assert fix["not-json"] == fixes.REFUSAL.en
    assert fix["status-answered"] is None


# The command.


def test_the_table_has_a_line_for_each_rule(handwritten: str, tmp_path: Path) -> None:
    """Rule, what is sent, what was seen and what to fix, then the sum."""
    done = run("conform", handwritten, "--only", "status-answered", "--only", "type-form", "--lang", "en", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert re.fullmatch(r"ok +status-answered +status: answered +200, result 0, \d+ ms *", lines[1])
    assert re.match(r"FAILED +type-form +Content-Type: application/x-www-form-urlencoded, .* 422, “", lines[2])
    assert lines[3].strip() == f"→ {fixes.MEDIA_TYPE.en}"
    assert lines[4] == "does not conform: 2 rules, 1 failed, 0 warnings"


def test_the_report_speaks_the_locale_s_language(target: Gateway, tmp_path: Path) -> None:
    """Chinese where the locale is Chinese, unless --lang says otherwise."""
    arguments = ("conform", f"{target.url}{CALLBACK}", "--only", "failure")
    settings = {"LC_ALL": "zh_CN.UTF-8"}
    assert "通过  failure  失败原因" in run(*arguments, cwd=tmp_path, settings=settings).stdout
    assert "ok      failure  failure reason" in run(*arguments, "--lang", "en", cwd=tmp_path, settings=settings).stdout


def test_junit_xml_is_written_beside_the_report(handwritten: str, tmp_path: Path) -> None:
    """A failed rule is a failure there, with what was seen and what to fix."""
    status, found = report(handwritten, tmp_path, "--junit", "report.xml", "--only", "type-form", "--only", "example")
    suite = ET.parse(tmp_path / "report.xml").getroot()[0]
    assert status == 1
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failure = suite.find("testcase[@name='type-form']/failure")
    assert failure is not None
    assert failure.get("message") == next(item["seen"] for item in found["items"] if item["rule"] == "type-form")
    assert fixes.MEDIA_TYPE.en in (failure.text or "")


def test_no_report_holds_the_url_s_path(target: Gateway, tmp_path: Path) -> None:
    """The path may hold a channel's token."""
    url = f"{target.url}{CALLBACK}/tok-alerts-3k5Jq0ZtV2"
    status, found = report(url, tmp_path, "--junit", "report.xml", "--only", "status-answered")
    assert status == 1
    assert found["receiver"] == target.url
    assert "tok-alerts" not in json.dumps(found) + (tmp_path / "report.xml").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ftp://127.0.0.1/x"], "URL: expected http://… or https://…"),
        (["http://127.0.0.1:99999/"], "URL: "),
        (["http://:80/"], "URL: "),
        (["http://user:secret@127.0.0.1:1/"], "URL: a callback URL has no user name in it"),
        (
            ["http://127.0.0.1:1/", "--only", "no-such"],
            "--only: there is no rule no-such; the rules are status-answered, ",
        ),
        (["http://127.0.0.1:1/"], "there is no receiver to check: "),
        (["http://127.0.0.1:1/", "--junit", "there/is/no/such/place.xml"], "there is no receiver to check: "),
    ],
    ids=str,
)
def test_what_cannot_be_checked_is_said_in_a_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    """A wrong URL, an unknown rule, nobody there: one line on standard error, exit status 1."""
    done = run("conform", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"answerback: {said}")


def test_a_junit_file_that_cannot_be_written_is_said(target: Gateway, tmp_path: Path) -> None:
    """Exit status 1, even where the receiver conforms."""
    done = run("conform", f"{target.url}{CALLBACK}", "--only", "failure", "--junit", "no/where.xml", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("answerback: --junit: ")


# Receivers that are wrong in one way, byte by byte.

Answers = Callable[[bytes], Awaitable[bytes]]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def http(body: bytes, *headers: bytes, status: bytes = b"200 OK", content_type: bytes = b"application/json") -> bytes:
    """An answer with a Content-Length."""
    lines = [b"HTTP/1.1 " + status, b"Content-Type: " + content_type, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


async def read_body(reader: asyncio.StreamReader) -> bytes:
    """Read one request with a Content-Length; its body. Raises IncompleteReadError."""
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return await reader.readexactly(int(found[1]) if found else 0)


async def close(writer: asyncio.StreamWriter) -> None:
    """Hang up, and see the connection end."""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def serving(answers: Answers, *, keeps_open: bool = True) -> Serve:
    """A receiver that answers each body by `answers`; it closes without a word where that is empty."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while said := await answers(await read_body(reader)):
                writer.write(said)
                await writer.drain()
                if not keeps_open:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the sender went away, or the test is over
        finally:
            await close(writer)

    return serve


def verdicts(serve: Serve, *ids: str, timeout_s: float = 5.0) -> dict[str, RuleResult]:
    """Check rules against a receiver in this process."""

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):  # the client may leave at any time
            await close(writer)

    async def examine() -> dict[str, RuleResult]:
        server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        chosen = [rule for rule in RULES if rule.id in ids]
        with closing(server):  # not `async with`: from Python 3.12 on that waits for a receiver that never answers
            client = ReceiverClient(f"http://127.0.0.1:{port}/voice?to=me", timeout_s)
            assert await client.check_connection() is None
            return {verdict.rule.id: verdict async for verdict in check(client, chosen, uuid.uuid1())}

    return asyncio.run(examine())


def always(said: bytes) -> Answers:
    """The same answer whatever comes."""

    async def answer(_body: bytes) -> bytes:
        return said

    return answer


PATIENT = ("--timeout", "60")
"""An answer may take as long as a busy machine takes."""

SOME = ("status-answered", "packets", "keep-alive", "burst")


@pytest.mark.parametrize(
    ("said", "keeps_open"),
    [
        (http(OK), True),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"6\r\n" + OK[:6] + b"\r\n%x\r\n" % len(OK[6:]) + OK[6:] + b"\r\n0\r\n\r\n",
            True,
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + OK, False),
        (http(OK, b"Connection: close"), False),
    ],
    ids=["content-length", "chunked", "to the end", "close"],
)
def test_an_answer_is_read_however_it_is_framed(
    said: bytes, monkeypatch: pytest.MonkeyPatch, *, keeps_open: bool
) -> None:
    """However the request is sent; a receiver that closes each connection is warned of once."""
    monkeypatch.setattr(
        "answerback.emulator.conformance.evaluation.SLOW_S", 60.0
    )  # the burst takes seconds when all is busy
    found = verdicts(serving(always(said), keeps_open=keeps_open), *SOME, timeout_s=60.0)
    levels = {rule: verdict.level for rule, verdict in found.items()}
    assert levels == dict.fromkeys(SOME, "ok") | {"keep-alive": "ok" if keeps_open else "warning"}
    assert found["burst"].sent == 50


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (b"", "closed the connection without a response"),
        (b"result=0\r\n\r\n", "the answer is not HTTP"),
        (http(OK, status=b"308 Permanent Redirect"), "308, a redirect"),
        (http(OK, status=b"503 Service Unavailable"), "503, result 0"),
        (http(b"success", content_type=b"text/plain"), "the answer is not JSON: 200, “success”"),
        (http(b'{"result":"0","errmsg":"OK"}'), "the answer has no number `result`: 200, "),
        (http(b'{"result":1,"errmsg":"busy"}'), "200, result 1 “busy”"),
    ],
)
def test_what_no_callback_is_answered_fails(said: bytes, seen: str) -> None:
    """Whether the request goes at once or in small packets."""
    found = verdicts(serving(always(said), keeps_open=False), "status-answered", "packets")
    for verdict in found.values():
        assert verdict.level == "failed"
        assert verdict.seen.en.startswith(seen)


def test_a_receiver_that_closes_without_a_word_breaks_keep_alive() -> None:
    """The second callback on the connection would be lost."""
    found = verdicts(serving(always(http(OK)), keeps_open=False), "status-answered", "keep-alive")
    assert (found["status-answered"].level, found["keep-alive"].level) == ("ok", "failed")
    assert found["keep-alive"].seen.en == "callback 2: closed the connection without a response"


def test_a_receiver_that_never_answers_is_not_waited_for_at_each_step() -> None:
    """A rule ends at its first silence."""

    async def never(_body: bytes) -> bytes:
        await asyncio.sleep(60)  # longer than anybody waits
        return b""

    began_s = time.monotonic()
    found = verdicts(serving(never), "failure-listed", "packets", "burst", timeout_s=0.3)
    assert {verdict.seen.en.rpartition(": ")[2].partition(" (")[0] for verdict in found.values()} == {
        "no answer within 0.3 s"
    }
    assert [found[rule].sent for rule in ("failure-listed", "packets", "burst")] == [1, 1, 50]
    assert {verdict.fix for verdict in found.values()} == {fixes.SLOW}
    assert time.monotonic() - began_s < 15  # the burst's, one after the other, would take so long


def test_a_slow_answer_is_a_warning() -> None:
    """Over a second, and still in time."""

    async def slow(_body: bytes) -> bytes:
        await asyncio.sleep(1.1)  # a slow receiver
        return http(OK)

    verdict = verdicts(serving(slow), "failure")["failure"]
    assert (verdict.level, verdict.fix) == ("warning", fixes.SLOW)
    assert re.match(r"answered after [1-4]\.", verdict.seen.en)


def test_a_receiver_that_knows_a_call_once_breaks_what_repeats() -> None:
    """Callid as a unique key: the repeat and the revision are refused."""
    known: set[bytes] = set()

    async def once(body: bytes) -> bytes:
        callid = json.loads(body).popitem()[1]["callid"]
        if callid in known:
            return http(b'{"result":1,"errmsg":"duplicate"}', status=b"409 Conflict")
        known.add(callid)
        return http(OK)

    found = verdicts(serving(once), "status-answered", "repeat", "revision", "status-with-failure")
    assert {rule for rule, verdict in found.items() if verdict.level == "failed"} == set(found) - {"status-answered"}
    assert found["repeat"].seen.en.startswith("409, result 1 “duplicate”")


def test_a_receiver_that_takes_everything_breaks_the_mistakes() -> None:
    """Result 0 for what is no callback hides the sender's mistake from it."""
    mistakes = {
        "not-json",
        "body-empty",
        "json-no-object",
        "key-unknown",
        "callid-missing",
        "field-ill-typed",
        "method-get",
    }
    found = verdicts(serving(always(http(OK))), *mistakes)
    assert {verdict.level for verdict in found.values()} == {"failed"}
    assert all("answered that it was accepted" in verdict.seen.en for verdict in found.values())
    assert len(found) == len(mistakes)


def test_a_receiver_that_a_huge_body_brings_down_breaks_its_rule() -> None:
    """What comes after the mistake is judged, too."""
    hurt = False

    async def hurt_by_size(body: bytes) -> bytes:
        nonlocal hurt
        was_hurt, hurt = hurt, len(body) > 1_000_000
        if was_hurt:
            return http(b"oops", status=b"500 Internal Server Error")
        return http(b'{"result":1036,"errmsg":"too large"}', status=b"413 Content Too Large") if hurt else http(OK)

    verdict = verdicts(serving(hurt_by_size), "body-huge")["body-huge"]
    assert verdict.level == "failed"
    assert verdict.seen.en.startswith("the next: 500, “oops”")


def test_a_huge_body_may_be_refused_before_it_has_come() -> None:
    """An answer that comes while the body is still under way is read, and the rest is not sent."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found = re.search(rb"Content-Length: (\d+)", await reader.readuntil(b"\r\n\r\n"))
        assert found is not None
        if int(found[1]) < 1_000_000:
            writer.write(http(OK, b"Connection: close"))
        else:
            writer.write(http(b'{"result":1036,"errmsg":"too large"}', b"Connection: close", status=b"413 Too Large"))
            await writer.drain()
            await reader.read()  # linger, so that it arrives: the sender hangs up then
        await close(writer)

    assert verdicts(refuse, "body-huge")["body-huge"].level == "ok"


def test_a_dropped_connection_reaches_the_receiver_as_one() -> None:
    """The connection ends in the head and in the body; then the same callback comes whole."""
    ended: list[bytes] = []

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await read_body(reader)
            writer.write(http(OK, b"Connection: close"))
        except asyncio.IncompleteReadError as error:
            ended.append(error.partial)
        await close(writer)

    verdict = verdicts(collect, "connection-dropped")["connection-dropped"]
    assert (verdict.level, verdict.sent) == ("ok", 5)
    assert any(part.startswith(b"POST /voice?to=me HTTP/1.1\r\nHost: 127.0.0.1:") for part in ended)
    assert any(part.startswith(b'{"voiceprompt_callback"') for part in ended)


def test_a_receiver_behind_https_is_checked_with_its_certificate(tmp_path: Path) -> None:
    """However the request is sent; a certificate that nobody trusts is no receiver."""
    authority = found_authority(tmp_path, "authority")
    context = server_side(authority.issue("receiver", hosts="DNS:localhost"))

    async def examine(trusted: str) -> subprocess.CompletedProcess[str]:
        server = await asyncio.start_server(serving(always(http(OK))), "127.0.0.1", 0, ssl=context)
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
        options = [option for rule in SOME for option in ("--only", rule)]
        async with server:
            settings = {"SSL_CERT_FILE": trusted}
            return await asyncio.to_thread(run, "conform", url, *PATIENT, *options, cwd=tmp_path, settings=settings)

    done = asyncio.run(examine(str(authority.file)))
    assert (done.returncode, "conforms: 4 rules, 0 failed" in done.stdout) == (
        0,
        True,
    )  # a busy machine may be warned of
    refused = asyncio.run(examine(""))
    assert refused.returncode == 1
    assert "the certificate is not trusted: " in refused.stderr
