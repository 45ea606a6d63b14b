import asyncio
import gzip
import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib.metadata import version
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from ending import ending
from hypothesis import given
from hypothesis import strategies as st
from ports import port_of, reserve_port
from relay.certificates import Authority, server_side
from relay.factories import OTHER_SECRET, SECRET, endpoint
from relay.proxy import proxying
from relay.receiver import ANSWER, Exchange, Script, obey, receiving, saying, whole
from relay.waiting import in_loop, until
from standardwebhooks import Webhook

from answerback.certificates import CertificateFiles, Certificates
from answerback.domain.endpoints import AttemptResult, Endpoint, PayloadFormat
from answerback.relay.egress_policy import Network
from answerback.relay.sender import RESPONSE_EXCERPT_BYTES, LeaseExpired, WebhookSender, resolve

ID = "dlv_17_9f86d081884c"
BODY = '{"voiceprompt_callback": {"callid": "x", "reason": "空号"} }\n'.encode()
LOOPBACK = ip_network("127.0.0.0/8")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

SHOWN = {"host", "accept", "accept-encoding", "content-length", "content-type", "user-agent", "webhook-id"}
"""The headers of every delivery."""


@asynccontextmanager
async def webhook_sender(*allow: Network, **certificates: CertificateFiles) -> AsyncIterator[WebhookSender]:
    """A courier that has these certificates, closed at the end."""
    made = WebhookSender(allow, Certificates(certificates))
    try:
        yield made
    finally:
        await made.close()


async def attempt(
    script: Script, form: PayloadFormat = PayloadFormat.STANDARD, timeout_s: float = 10.0
) -> AttemptResult:
    """One attempt at a receiver that follows `script`."""
    async with receiving(script) as receiver, webhook_sender() as carrying:
        return await carrying.send(endpoint(receiver.url(), format=form, timeout_s=timeout_s), ID, BODY)


async def attempt_at(url: str, ca_file: Path | None = None, **config: Any) -> AttemptResult:
    """One attempt at a URL, trusting `ca_file` where it is given."""
    certificates = {} if ca_file is None else {"own": CertificateFiles(ca_file=ca_file)}
    async with webhook_sender(**certificates) as carrying:
        return await carrying.send(endpoint(url, certificate=next(iter(certificates), None), **config), ID, BODY)


# What goes out


@in_loop
async def test_the_original_bytes_are_posted() -> None:
    """In the cloud's format: the body as it was received, as JSON, with the delivery's id and without a signature."""
    async with receiving() as receiver, webhook_sender() as carrying:
        outcome = await carrying.send(
            endpoint(receiver.url("localhost", "/a%2Fb?c=d&e"), format=PayloadFormat.TENCENT), ID, BODY
        )
        (post,) = receiver.posts
    assert outcome.error is None
    assert post.line == "POST /a%2Fb?c=d&e HTTP/1.1"
    assert post.body == BODY
    assert {name.lower() for name, _ in post.headers} == SHOWN
    assert len(post.headers) == len(SHOWN)
    assert post.header("Host") == [f"localhost:{receiver.port}"]
    assert post.header("Content-Type") == ["application/json"]
    assert post.header("Content-Length") == [str(len(BODY))]
    assert post.header("Accept-Encoding") == ["identity"]
    assert post.header("User-Agent") == [f"answerback/{version('answerback')}"]
    assert post.header("webhook-id") == [ID]


@in_loop
async def test_a_webhook_is_signed() -> None:
    """In the standard format: the same headers and those of Standard Webhooks, which the official library verifies."""
    async with receiving() as receiver, webhook_sender() as carrying:
        before_s = int(time.time())
        await carrying.send(endpoint(receiver.url()), ID, b'{"type":"voice.call.answered"}')
        (post,) = receiver.posts
    assert {name.lower() for name, _ in post.headers} == SHOWN | {"webhook-timestamp", "webhook-signature"}
    assert post.header("webhook-id") == [ID]
    assert post.header("Content-Type") == ["application/json"]
    assert before_s <= int(post.header("webhook-timestamp")[0]) <= time.time()
    assert Webhook(SECRET).verify(post.body, dict(post.headers)) == {"type": "voice.call.answered"}


@in_loop
async def test_an_endpoint_without_own_headers_is_sent_what_it_always_was() -> None:
    """Byte for byte: line, names and their order."""
    async with receiving() as receiver, webhook_sender() as carrying:
        await carrying.send(endpoint(receiver.url(), format=PayloadFormat.TENCENT), ID, BODY)
        (post,) = receiver.posts
    assert (post.line, post.body) == ("POST /voice HTTP/1.1", BODY)
    assert post.headers == [
        ("Host", f"127.0.0.1:{receiver.port}"),
        ("Content-Type", "application/json"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", f"answerback/{version('answerback')}"),
        ("webhook-id", ID),
        ("Accept", "*/*"),
        ("Content-Length", str(len(BODY))),
    ]


@in_loop
async def test_an_endpoints_own_headers_go_with_each_request() -> None:
    """Beside those of every delivery; Content-Type and User-Agent, in any case, in place of them."""
    own = {"Authorization": "Bearer t0ken", "content-type": "application/json; charset=utf-8", "X-Team": "a b"}
    async with receiving() as receiver, webhook_sender() as carrying:
        assert (await carrying.send(endpoint(receiver.url(), headers=own), ID, BODY)).error is None
        (post,) = receiver.posts
    for name, value in own.items():
        assert post.header(name) == [value]
    Webhook(SECRET).verify(post.body, dict(post.headers))


@in_loop
async def test_each_attempt_is_signed_anew_under_the_same_id() -> None:
    """A retry has a time of its own, or its receiver would take it for an old one; with both secrets after a rotation."""
    soon = datetime.now(UTC) + timedelta(hours=1)
    async with receiving() as receiver, webhook_sender() as carrying:
        await carrying.send(endpoint(receiver.url()), ID, BODY)
        await asyncio.sleep(1.01 - time.time() % 1)  # into the next second: the time is told in whole ones
        rotated = endpoint(receiver.url(), secret=OTHER_SECRET, previous_secret=SECRET, previous_secret_expires_at=soon)
        await carrying.send(rotated, ID, BODY)
        first, second = receiver.posts
    assert first.header("webhook-id") == second.header("webhook-id") == [ID]
    assert int(first.header("webhook-timestamp")[0]) < int(second.header("webhook-timestamp")[0])
    for secret in (SECRET, OTHER_SECRET):
        Webhook(secret).verify(second.body, dict(second.headers))


@in_loop
async def test_cookies_are_not_kept() -> None:
    """An answer changes nothing about the next request."""
    async with receiving(saying(whole(headers=["Set-Cookie: a=b; Path=/"]))) as receiver, webhook_sender() as carrying:
        for _ in range(2):
            await carrying.send(endpoint(receiver.url("localhost")), ID, BODY)
        assert [post.header("Cookie") for post in receiver.posts] == [[], []]


@in_loop
async def test_the_environments_proxies_are_not_asked() -> None:
    """Whatever the environment says, a delivery goes where its endpoint is."""
    async with receiving() as proxy, receiving() as receiver:
        with pytest.MonkeyPatch.context() as patched:
            for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
                patched.setenv(name, proxy.url(path=""))
            for name in ("no_proxy", "NO_PROXY"):
                patched.delenv(name, raising=False)
            assert (await attempt_at(receiver.url())).error is None
        assert (len(receiver.posts), proxy.connections) == (1, 0)


# Through a proxy


@in_loop
async def test_a_delivery_goes_through_the_proxy(authority: Authority) -> None:
    """By CONNECT, which names the host and is answered for; the certificate is checked at the far end."""
    tls = server_side(authority.issue("server", hosts="DNS:crm.example"))
    certificates = Certificates({"own": CertificateFiles(ca_file=authority.file)})
    async with receiving(tls=tls) as receiver, proxying(receiver.port) as proxy:
        url = proxy.url.replace("//", "//user:w0rd@")
        sender = WebhookSender((), certificates, url)
        aimed = endpoint(
            "https://crm.example/voice", certificate="own", headers={"X-Token": "s3cret"}, from_config=False
        )
        assert (await sender.send(aimed, ID, BODY)).error is None
        await sender.close()
        (post,), (request,) = receiver.posts, proxy.requests
    assert request.startswith("CONNECT crm.example:443 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjp3MHJk" in request
    assert "s3cret" not in request
    assert (post.line, post.header("X-Token"), post.header("Proxy-Authorization")) == (
        "POST /voice HTTP/1.1",
        ["s3cret"],
        [],
    )


@in_loop
async def test_without_tls_the_proxy_is_given_the_whole_url() -> None:
    """As HTTP has it: the proxy sends the request on, and what it answers counts."""
    async with receiving() as proxy:
        outcome = await attempt_at("http://crm.example/voice?a=b", proxy=proxy.url(path=""))
        assert outcome.error is None
        assert proxy.posts[0].line == "POST http://crm.example/voice?a=b HTTP/1.1"
        assert proxy.posts[0].header("Host") == ["crm.example"]


@in_loop
async def test_an_endpoint_can_go_past_the_gateways_proxy() -> None:
    """`direct` for one, a proxy of its own for another."""
    async with receiving() as common, receiving() as own, receiving() as receiver:
        sender = WebhookSender((), None, common.url(path=""))
        for proxy in ("direct", own.url(path=""), None):
            assert (await sender.send(endpoint(receiver.url(), proxy=proxy), ID, BODY)).error is None
        await sender.close()
        assert [len(one.posts) for one in (common, own, receiver)] == [1, 1, 1]


@in_loop
async def test_what_is_wrong_with_a_proxy_is_said() -> None:
    """It refuses, or is not there."""
    async with receiving() as receiver, proxying(receiver.port, b"HTTP/1.1 407 Who are you\r\n\r\n") as proxy:
        assert (await attempt_at("https://crm.example/", proxy=proxy.url)).error == "the proxy answered 407 Who are you"
    outcome = await attempt_at("https://crm.example/", proxy="http://127.0.0.1:9")
    assert outcome.error == "no connection to the proxy: Connection refused"


@in_loop
async def test_the_egress_policy_holds_with_a_proxy() -> None:
    """For the proxy of an endpoint from the API, and for an address in the URL; a trusted proxy may be anywhere but metadata."""
    async with receiving() as proxy:
        url = proxy.url(path="")
        outcomes = [
            await attempt_at("http://crm.example/", proxy=url, from_config=False),
            await attempt_at("http://169.254.169.254/latest", proxy=url),
            await attempt_at("http://crm.example/", proxy="http://169.254.169.254:80"),
        ]
        sender = WebhookSender((), None, url)
        for host in ("10.1.2.3", "[::1]", "169.254.169.254"):
            outcomes += [await sender.send(endpoint(f"http://{host}/", from_config=False), ID, BODY)]
        await sender.close()
        assert proxy.connections == 0
    assert [outcome.error for outcome in outcomes if "which no endpoint may have" not in (outcome.error or "")] == [
        "no connection to the proxy: 127.0.0.1 is this machine itself; relay.allowed_networks can allow it",
        "no connection: 10.1.2.3 is a private address; relay.allowed_networks can allow it",
        "no connection: ::1 is this machine itself; relay.allowed_networks can allow it",
    ]


# What comes back


@in_loop
async def test_an_attempt_result_says_when_how_long_and_what() -> None:
    """Begin and duration in microseconds, the status, the answer."""

    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.2)  # a slow receiver
        await exchange.answer(201, b"created")

    before_us = time.time_ns() // 1000
    outcome = await attempt(slow)
    after_us = time.time_ns() // 1000
    assert (outcome.http_status, outcome.response_body, outcome.error, outcome.gone) == (201, b"created", None, False)
    assert before_us <= outcome.started_us <= after_us - 200_000
    assert 190_000 <= outcome.duration_us <= after_us - before_us


@in_loop
async def test_a_failure_keeps_status_and_answer() -> None:
    """What the endpoint said is there for whoever looks into it."""
    outcome = await attempt(saying(whole(500, b"Traceback: \xff\x00")))
    assert (outcome.http_status, outcome.response_body) == (500, b"Traceback: \xff\x00")
    assert outcome.error == "answered 500 Internal Server Error"


@in_loop
async def test_two_kib_of_an_answer_are_kept() -> None:
    """The first of it; and all of it where it is shorter."""
    for size in (0, 1, RESPONSE_EXCERPT_BYTES - 1, RESPONSE_EXCERPT_BYTES, RESPONSE_EXCERPT_BYTES + 1, 60_000):
        body = bytes(n % 251 for n in range(size))
        outcome = await attempt(saying(whole(200, body)))
        assert outcome.response_body == body[:2048]
        assert outcome.error is None


@in_loop
async def test_the_contracts_answer_is_judged_whole() -> None:
    """Also where it is longer than what is kept of it."""
    body = json.dumps({"errmsg": "x" * 10_000, "result": 0}).encode()
    outcome = await attempt(saying(whole(200, body)), PayloadFormat.TENCENT)
    assert (outcome.error, outcome.response_body) == (None, body[:2048])


@in_loop
async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    """64 KiB are read, with either format; the connection is not used again, and the next attempt gets a new one."""
    for form, accepted in ((PayloadFormat.STANDARD, True), (PayloadFormat.TENCENT, False)):

        async def pour(exchange: Exchange) -> None:
            await exchange.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while True:
                await exchange.say(b" " * 65_536)

        async with receiving(pour) as receiver, webhook_sender() as carrying:
            outcome = await carrying.send(endpoint(receiver.url(), format=form), ID, BODY)
            assert (outcome.error is None) == accepted
            assert outcome.response_body == b" " * 2048
            receiver.script = obey
            assert (await carrying.send(endpoint(receiver.url(), format=form), ID, BODY)).error is None
            assert receiver.connections == 2


@in_loop
async def test_an_answer_in_chunks_is_an_answer() -> None:
    """However it is cut, with a trailer, in pieces over time."""

    async def piecemeal(exchange: Exchange) -> None:
        await exchange.say(CHUNKED)
        for byte in ANSWER:
            await exchange.say(b"1\r\n" + bytes([byte]) + b"\r\n")
            await asyncio.sleep(0)
        await exchange.say(b"0\r\nX-Sum: 1\r\n\r\n")

    outcome = await attempt(piecemeal, PayloadFormat.TENCENT)
    assert (outcome.error, outcome.response_body) == (None, ANSWER)


@in_loop
async def test_an_answer_in_single_bytes_is_an_answer() -> None:
    """Slow, but within the time."""

    async def trickle(exchange: Exchange) -> None:
        for byte in whole():
            await exchange.say(bytes([byte]))
            await asyncio.sleep(0.001)  # a slow receiver

    assert (await attempt(trickle, PayloadFormat.TENCENT)).error is None


@in_loop
async def test_an_answer_until_the_connections_end_is_an_answer() -> None:
    """HTTP/1.0, or no length: the end is the end."""
    for head in (b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"):
        outcome = await attempt(saying(head + ANSWER, close=True), PayloadFormat.TENCENT)
        assert (outcome.error, outcome.response_body) == (None, ANSWER)


@in_loop
async def test_a_compressed_answer_is_not_unpacked() -> None:
    """We asked for none; a bomb stays packed."""
    packed = gzip.compress(b" " * 10_000_000)
    outcome = await attempt(saying(whole(200, packed, ["Content-Encoding: gzip"])))
    assert (outcome.error, outcome.response_body) == (None, packed[:2048])


@in_loop
async def test_an_answer_before_the_request_was_read_counts() -> None:
    """Early hints and 100 Continue are no answers; what follows is."""
    for early in (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"):
        outcome = await attempt(saying(early + whole()), PayloadFormat.TENCENT)
        assert (outcome.http_status, outcome.error) == (200, None)


@in_loop
async def test_an_answer_is_kept_without_the_path_it_repeats() -> None:
    """Many servers quote the URL that they do not know, and secrets live there; the words for it have none either."""
    said = b'{"result":7,"errmsg":"no /voice?token=s3cret"}'
    async with receiving(saying(whole(200, said))) as receiver, webhook_sender() as carrying:
        url = receiver.url(path="/voice?token=s3cret")
        outcome = await carrying.send(endpoint(url, format=PayloadFormat.TENCENT), ID, BODY)
    assert outcome.response_body == '{"result":7,"errmsg":"no …"}'.encode()
    assert outcome.error == "answered result 7: no …"


@in_loop
async def test_an_answer_is_kept_without_the_header_values_it_repeats() -> None:
    """As they were sent, in JSON and in HTML, the token alone, and where the excerpt is cut."""
    own = {"Authorization": "Bearer t0ken-of-crm", "X-Key": 'a"b&c<d>'}
    said = json.dumps({"result": 7, "errmsg": own | {"only": "t0ken-of-crm"}, "html": "a&quot;b&amp;c&lt;d&gt;"})
    said = said[:-1] + " " * (RESPONSE_EXCERPT_BYTES - len(said) - 9) + ',"x":"t0ken-of-crm"}'
    async with receiving(saying(whole(200, said.encode()))) as receiver, webhook_sender() as carrying:
        aimed = endpoint(receiver.url(), headers=own, success="json:errmsg.only=x")
        outcome = await carrying.send(aimed, ID, BODY)
    shown = outcome.response_body.decode("utf-8", "replace") + (outcome.error or "")
    assert outcome.error == "answered 200, expected errmsg.only = x, got …"
    assert [piece for piece in ("t0ken", "a&quot;", "b&c", 'a\\"b') if piece in shown] == []


@in_loop
async def test_words_of_an_answer_are_cut_after_its_secrets_are_hidden() -> None:
    """A value that stands across the cut is not shown by half."""
    said = b"x" * 95 + b"t0ken-of-crm"
    async with receiving(saying(whole(200, said))) as receiver, webhook_sender() as carrying:
        aimed = endpoint(receiver.url(), headers={"X-Token": "t0ken-of-crm"}, success="text:OK")
        outcome = await carrying.send(aimed, ID, BODY)
    assert outcome.error == f"answered 200, expected the text OK, got {'x' * 95}…"


@in_loop
async def test_a_redirect_is_not_followed() -> None:
    """Whatever its status; the words name the host of the new place, and nobody is asked there."""
    async with receiving() as other:
        for status in (301, 302, 303, 307, 308):
            outcome = await attempt(saying(whole(status, b"", [f"Location: {other.url()}?token=s3cret"])))
            assert outcome.http_status == status
            assert f"to {other.url().removesuffix('/voice')}: redirects are not followed" in (outcome.error or "")
        assert other.connections == 0


@in_loop
async def test_an_errmsg_in_another_encoding_is_no_obstacle() -> None:
    """A receiver on GBK takes deliveries; what it says is shown in the charset that it names; an empty answer is called so."""
    in_gbk = whole(200, '{"result":0,"errmsg":"成功"}'.encode("gbk"))
    assert (await attempt(saying(in_gbk), PayloadFormat.TENCENT)).error is None
    in_big5 = whole(200, '{"result":1,"errmsg":"表"}'.encode("big5"), ["Content-Type: application/json; charset=Big5"])
    assert (await attempt(saying(in_big5), PayloadFormat.TENCENT)).error == "answered result 1: 表"
    empty = await attempt(saying(whole(200, b"")), PayloadFormat.TENCENT)
    assert empty.error == "answered 200, but the response is empty"


@in_loop
async def test_gone_is_reported_as_such() -> None:
    """410 of a webhook endpoint."""
    outcome = await attempt(saying(whole(410, b"")))
    assert (outcome.gone, outcome.error) == (True, "answered 410 Gone")


@in_loop
async def test_retry_after_is_read() -> None:
    """As seconds or as a date, at most a day; only where the delivery failed."""
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    for reported, least_s, most_s in [
        ("0", 0, 0),
        ("120", 120, 120),
        (" 7 ", 7, 7),
        (in_an_hour, 3590, 3600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("999999999999", 86_400, 86_400),
        ("9" * 400, 86_400, 86_400),
    ]:
        outcome = await attempt(saying(whole(503, b"", [f"Retry-After: {reported}"])))
        assert outcome.retry_after_s is not None, reported
        assert least_s <= outcome.retry_after_s <= most_s
        assert (await attempt(saying(whole(200, b"", [f"Retry-After: {reported}"])))).retry_after_s is None


@in_loop
async def test_a_retry_after_that_says_nothing_is_ignored() -> None:
    """Neither a number nor a date: as if there were none."""
    for reported in (
        "",
        "soon",
        "-5",
        "1.5",
        "1e3",
        "²",
        "٣",
        "Wed, 99 Oct 2015",
        "Mon, 01 Jan 0001 00:00:00 GMT",
        "\xff",
    ):
        outcome = await attempt(saying(whole(503, b"", [f"Retry-After: {reported}"])))
        assert outcome.error == "answered 503 Service Unavailable", reported
        assert outcome.retry_after_s in {None, 0.0, 3.0}, reported


# What goes wrong


@in_loop
async def test_no_answer_in_time() -> None:
    """The words tell how long it was waited; the attempt takes so long and not longer."""

    async def silent(_: Exchange) -> None:
        await asyncio.Event().wait()

    outcome = await attempt(silent, timeout_s=0.3)
    assert outcome.error == "no answer within 0.3 s"
    assert (outcome.http_status, outcome.response_body) == (None, b"")
    assert 280_000 <= outcome.duration_us < 5_000_000


@in_loop
async def test_slow_bytes_do_not_stretch_the_time() -> None:
    """The time is for the whole attempt: for the head, for the body, and for its chunks."""

    async def slow_head(exchange: Exchange) -> None:
        while True:
            await exchange.say(b"H")
            await asyncio.sleep(0.05)

    async def slow_headers(exchange: Exchange) -> None:
        await exchange.say(b"HTTP/1.1 200 OK\r\n")
        while True:
            await exchange.say(b"X-Y: z\r\n")
            await asyncio.sleep(0.05)

    async def slow_body(exchange: Exchange) -> None:
        await exchange.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
        while True:
            await exchange.say(b" ")
            await asyncio.sleep(0.05)

    async def slow_chunks(exchange: Exchange) -> None:
        await exchange.say(CHUNKED)
        while True:
            await exchange.say(b"1\r\n \r\n")
            await asyncio.sleep(0.05)

    for script in (slow_headers, slow_body, slow_chunks):
        outcome = await attempt(script, timeout_s=0.3)
        assert outcome.error == "no answer within 0.3 s", script
        assert outcome.duration_us < 5_000_000
    assert (await attempt(slow_head, timeout_s=0.3)).error is not None


@in_loop
async def test_a_connection_that_is_refused_is_reported_as_such() -> None:
    """Nobody listens there: in the system's own words."""
    with reserve_port() as reservation:
        outcome = await attempt_at(f"http://127.0.0.1:{port_of(reservation)}/")
    assert outcome.error == "no connection: Connection refused"
    assert (outcome.http_status, outcome.response_body) == (None, b"")


@in_loop
async def test_a_name_that_means_nothing() -> None:
    """The words name it."""
    outcome = await attempt_at("http://nowhere.invalid/voice")
    assert outcome.error == "the name nowhere.invalid was not found"


@in_loop
async def test_an_impossible_name_is_a_failure() -> None:
    """A label too long, an empty one: reported, and never a fault of the program."""
    for host in ("a" * 64 + ".invalid", "a..invalid", ".invalid", "xn--a.invalid", "-.invalid"):
        outcome = await attempt_at(f"http://{host}/voice")
        assert outcome.error is not None, host
        assert "internal error" not in outcome.error, host


@in_loop
async def test_what_is_not_http_is_reported() -> None:
    """Garbage, another protocol, too long a head."""
    for data in (
        b"garbage\r\n\r\n",
        b"\x00\xff\xfe" * 100,
        b"220 mail.example ESMTP\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ):
        outcome = await attempt(saying(data, close=True))
        assert (outcome.error or "").startswith("the answer is not HTTP"), data[:40]
        assert (outcome.http_status, outcome.response_body) == (None, b"")


@in_loop
async def test_a_connection_closed_without_a_word() -> None:
    """At once, or in the middle of the head."""
    for data in (b"", b"HTTP/1.1 200 OK\r\nContent-Le"):
        outcome = await attempt(saying(data, close=True))
        assert outcome.error == "the connection was closed before there was an answer", data


@in_loop
async def test_half_an_answer() -> None:
    """Less than it promised: no delivery, whatever its status; in a body and in chunks."""
    for data in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + ANSWER,
        CHUNKED + b"1a\r\n" + ANSWER + b"\r\n",
        CHUNKED + b"ff\r\n" + ANSWER,
    ):
        for form in PayloadFormat:
            outcome = await attempt(saying(data, close=True), form)
            assert outcome.error == "the answer was cut off half-way", data


@in_loop
async def test_a_broken_chunk_is_reported() -> None:
    """A length that is none: the answer is not HTTP, or was cut off; never a delivery."""
    outcome = await attempt(saying(CHUNKED + b"zz\r\n" + ANSWER, close=True))
    assert outcome.error is not None
    assert "internal error" not in outcome.error


@in_loop
async def test_the_words_can_always_be_kept() -> None:
    """Bytes that are no text, wherever they come in an answer, make words that can be written down."""
    for data in (
        b"HTTP/1.1 302 Found\r\nLocation: http://crm.example/\xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 \xff\r\nLocation: \xed\xa0\x80\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 \xff\xff\r\nX-\xff: 1\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\nRetry-After: \xff\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: \xff\r\nContent-Length: 0\r\n\r\n",
        whole(200, b'{"result":1,"errmsg":"\\ud800\xff"}'),
        whole(200, b'{"result":1,"errmsg":"\\ud800"}'),
    ):
        for form in PayloadFormat:
            outcome = await attempt(saying(data, close=True), form)
            (outcome.error or "").encode()


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=60).map(lambda tail: whole()[:40] + tail)), st.booleans())
def test_any_bytes_are_an_outcome(data: bytes, close: bool) -> None:  # noqa: FBT001  # drawn
    """Whatever comes back, a value whose words can be kept; and never a fault of the program."""

    @in_loop
    async def scenario() -> None:
        outcome = await attempt(
            saying(data, close=True), PayloadFormat.TENCENT if close else PayloadFormat.STANDARD, timeout_s=2
        )
        assert "internal error" not in (outcome.error or "")
        (outcome.error or "").encode()

    scenario()


# Where it may not go


def of_api(url: str, **config: Any) -> Endpoint:
    """An endpoint that was made through the API."""
    return endpoint(url, from_config=False, **config)


@in_loop
async def test_an_endpoint_of_the_api_does_not_reach_this_machine() -> None:
    """In whatever spelling; the words name the address and the setting, and nobody is connected to."""
    async with receiving() as receiver, webhook_sender() as carrying:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]"):
            outcome = await carrying.send(of_api(receiver.url(host)), ID, BODY, retry_closed_connection=True)
            assert outcome.error == (
                "no connection: 127.0.0.1 is this machine itself; relay.allowed_networks can allow it"
            ), host
        for host in ("127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0"):
            assert (await carrying.send(of_api(receiver.url(host)), ID, BODY)).error is not None, host
        assert receiver.connections == 0


@in_loop
async def test_the_address_that_is_checked_is_the_one_connected_to() -> None:
    """A name that had passed the check when the endpoint was made means this machine now: refused all the same.

    `localhost` stands for it: its name says nothing, its address does. One of the config file gets there.
    """
    async with receiving() as receiver, webhook_sender() as carrying:
        assert await resolve("localhost", receiver.port) != []
        outcome = await carrying.send(of_api(receiver.url("localhost")), ID, BODY)
        assert "127.0.0.1 is this machine itself" in (outcome.error or "")
        assert receiver.connections == 0
        assert (await carrying.send(endpoint(receiver.url("localhost")), ID, BODY)).error is None


@in_loop
async def test_a_connection_of_a_trusted_endpoint_is_not_lent() -> None:
    """One of the API does not get out over a connection that one of the config file has kept open."""
    async with receiving() as receiver, webhook_sender() as carrying:
        assert (await carrying.send(endpoint(receiver.url()), ID, BODY)).error is None
        assert (await carrying.send(of_api(receiver.url()), ID, BODY)).error is not None
        assert len(receiver.posts) == 1


@in_loop
async def test_allow_networks_lets_an_endpoint_of_the_api_in() -> None:
    """Where the operator has named the network."""
    async with receiving() as receiver, webhook_sender(LOOPBACK) as carrying:
        assert (await carrying.send(of_api(receiver.url("localhost")), ID, BODY)).error is None


@in_loop
async def test_the_clouds_metadata_is_refused_to_every_endpoint() -> None:
    """To one of the config file, too, and fast: no packet goes out."""
    async with webhook_sender(ip_network("0.0.0.0/0")) as carrying:
        for host in ("169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "0.0.0.0"):
            for to in (endpoint, of_api):
                outcome = await carrying.send(to(f"http://{host}:80/latest/meta-data/"), ID, BODY)
                assert "no endpoint may have" in (outcome.error or "") or "not the address of a host" in (
                    outcome.error or ""
                ), host
                assert outcome.duration_us < 5_000_000


@in_loop
async def test_what_a_name_means() -> None:
    """Its addresses; nothing where it means nothing, or cannot mean anything."""
    assert await resolve("localhost", 80) != []
    assert set(await resolve("127.0.0.1", 80)) == {"127.0.0.1"}
    for host in ("nowhere.invalid", "a" * 64 + ".invalid", "a..invalid"):
        assert await resolve(host, 80) == [], host


# Trust


@in_loop
async def test_an_untrusted_certificate_is_refused(authority: Authority) -> None:
    """Signed by nobody we know: not a byte of the delivery goes out."""
    tls = server_side(authority.issue("server", hosts="DNS:localhost,IP:127.0.0.1"))
    async with receiving(tls=tls) as receiver:
        outcome = await attempt_at(receiver.url("localhost"))
        assert (outcome.error or "").startswith("the certificate is not trusted: ")
        assert receiver.posts == []


@in_loop
async def test_a_certificate_of_another_host_is_refused(authority: Authority) -> None:
    """Signed by whom we trust, but for somebody else; by name and by address."""
    tls = server_side(authority.issue("elsewhere", hosts="DNS:elsewhere.example,IP:127.0.0.2"))
    async with receiving(tls=tls) as receiver:
        for host in ("localhost", "127.0.0.1"):
            outcome = await attempt_at(receiver.url(host), authority.file)
            assert (outcome.error or "").startswith("the certificate is not trusted: "), host
            assert "mismatch" in (outcome.error or "") or "not valid for" in (outcome.error or "")
        assert receiver.posts == []


@in_loop
async def test_a_ca_file_makes_its_servers_trusted(authority: Authority, other_authority: Authority) -> None:
    """And those of no other authority."""
    tls = server_side(authority.issue("server", hosts="DNS:localhost,IP:127.0.0.1"))
    async with receiving(tls=tls) as receiver:
        for host in ("localhost", "127.0.0.1"):
            assert (await attempt_at(receiver.url(host), authority.file)).error is None
        outcome = await attempt_at(receiver.url("localhost"), other_authority.file)
        assert (outcome.error or "").startswith("the certificate is not trusted: ")
        assert len(receiver.posts) == 2


@in_loop
async def test_one_endpoints_trust_is_not_anothers(authority: Authority) -> None:
    """A connection that one endpoint trusts is not lent to one that does not."""
    tls = server_side(authority.issue("server", hosts="DNS:localhost"))
    own = CertificateFiles(ca_file=authority.file)
    async with receiving(tls=tls) as receiver, webhook_sender(own=own) as carrying:
        trusting, doubting = (endpoint(receiver.url("localhost"), certificate=name) for name in ("own", None))
        assert (await carrying.send(trusting, ID, BODY)).error is None
        assert (await carrying.send(doubting, ID, BODY)).error is not None
        assert len(receiver.posts) == 1


@in_loop
async def test_a_server_without_tls_is_reported() -> None:
    """We ask by https a server that speaks http: no delivery goes out, a failure in words."""
    async with receiving() as receiver:
        outcome = await attempt_at(receiver.url("localhost").replace("http:", "https:"), timeout_s=1.0)
        assert outcome.error is not None
        assert "internal error" not in outcome.error
        assert receiver.posts == []


@in_loop
async def test_a_tls_server_asked_in_plain_text_is_reported(authority: Authority) -> None:
    """We ask by http a server that speaks https: a failure in words."""
    tls = server_side(authority.issue("server", hosts="DNS:localhost"))
    async with receiving(tls=tls) as receiver:
        outcome = await attempt_at(receiver.url("localhost").replace("https:", "http:"))
        assert outcome.error is not None
        assert "internal error" not in outcome.error
        assert receiver.posts == []


@in_loop
async def test_a_client_certificate_lets_us_in(authority: Authority, other_authority: Authority) -> None:
    """Mutual TLS: with ours the delivery arrives; without one, or with one of another authority, it does not."""
    tls = server_side(authority.issue("server", hosts="DNS:localhost"), clients=authority.file)
    files = {"ours": authority.issue("client"), "foreign": other_authority.issue("foreign"), "none": None}
    certificates = {
        name: CertificateFiles(ca_file=authority.file, client_cert=client_cert) for name, client_cert in files.items()
    }
    async with receiving(tls=tls) as receiver, webhook_sender(**certificates) as carrying:

        async def by(name: str) -> AttemptResult:
            return await carrying.send(endpoint(receiver.url("localhost"), certificate=name), ID, BODY)

        assert (await by("ours")).error is None
        for name in ("none", "foreign"):
            outcome = await by(name)
            assert outcome.error is not None
            assert "internal error" not in outcome.error
        assert len(receiver.posts) == 1


@in_loop
async def test_a_renewed_client_certificate_is_read_again(
    authority: Authority, other_authority: Authority, tmp_path: Path
) -> None:
    """Without a restart: attempts go by the file as it is now, once it has been looked at."""
    tls = server_side(authority.issue("server", hosts="DNS:localhost"), clients=authority.file)
    ours, foreign = authority.issue("client"), other_authority.issue("foreign")
    file = Path(shutil.copy(foreign, tmp_path / "client.pem"))
    own = CertificateFiles(ca_file=authority.file, client_cert=file)
    async with receiving(tls=tls) as receiver, webhook_sender(own=own) as carrying:
        to = endpoint(receiver.url("localhost"), certificate="own")
        assert (await carrying.send(to, ID, BODY)).error is not None
        shutil.copy(ours, file)
        watching = asyncio.create_task(carrying.certificates.watch(0.01))
        deadline_s = time.monotonic() + 10
        while (await carrying.send(to, ID, BODY)).error is not None:
            assert time.monotonic() < deadline_s
        watching.cancel()
        assert len(receiver.posts) == 1


@in_loop
async def test_a_certificate_that_another_process_has_is_reported() -> None:
    """A failure as any other: an endpoint names what this process's config file does not hold."""
    async with receiving() as receiver, webhook_sender() as carrying:
        outcome = await carrying.send(endpoint(receiver.url(), certificate="crm"), ID, BODY)
        assert "there is no certificate crm in the config file" in (outcome.error or "")
        assert receiver.posts == []


# Connections


@in_loop
async def test_a_connection_is_used_again() -> None:
    """One after the other over the same; several at a time over several."""
    async with receiving() as receiver, webhook_sender() as carrying:
        to = endpoint(receiver.url())
        for _ in range(5):
            await carrying.send(to, ID, BODY)
        assert (receiver.connections, len(receiver.posts)) == (1, 5)
        await asyncio.gather(*[carrying.send(to, ID, BODY) for _ in range(5)])
        assert receiver.connections <= 5
        assert len(receiver.posts) == 10


@in_loop
async def test_a_secure_connection_is_used_again(authority: Authority) -> None:
    """No handshake for each delivery, with a client certificate either."""
    tls = server_side(authority.issue("server", hosts="DNS:localhost"), clients=authority.file)
    own = CertificateFiles(ca_file=authority.file, client_cert=authority.issue("client"))
    async with receiving(tls=tls) as receiver, webhook_sender(own=own) as carrying:
        to = endpoint(receiver.url("localhost"), certificate="own")
        for _ in range(3):
            assert (await carrying.send(to, ID, BODY)).error is None
        assert receiver.connections == 1


@in_loop
async def test_a_connection_that_the_endpoint_ends_is_not_used_again() -> None:
    """Connection: close is obeyed."""
    async with receiving(saying(whole(headers=["Connection: close"]))) as receiver, webhook_sender() as carrying:
        for _ in range(3):
            assert (await carrying.send(endpoint(receiver.url()), ID, BODY)).error is None
        assert receiver.connections == 3


async def stale(exchange: Exchange) -> None:
    """Answer the first request of a connection, and end it when the second comes: the kept connection was too old."""
    if exchange.number == 2:
        exchange.writer.transport.abort()
    else:
        await exchange.answer()


@in_loop
async def test_a_kept_connection_that_breaks_is_retried_at_once() -> None:
    """With `again` the attempt is made once more over a new connection; the outcome is that one's."""
    async with receiving(stale) as receiver, webhook_sender() as carrying:
        to = endpoint(receiver.url())
        assert (await carrying.send(to, ID, BODY)).error is None
        outcome = await carrying.send(to, ID, BODY, retry_closed_connection=True)
        assert (outcome.error, outcome.http_status) == (None, 200)
        assert receiver.connections == 2
        assert [post.header("webhook-id") for post in receiver.posts] == [[ID]] * 3


@in_loop
async def test_a_kept_connection_that_breaks_is_a_failure_otherwise() -> None:
    """Without `again` it is reported as it is: nobody knows whether the delivery arrived."""
    async with receiving(stale) as receiver, webhook_sender() as carrying:
        to = endpoint(receiver.url())
        assert (await carrying.send(to, ID, BODY)).error is None
        outcome = await carrying.send(to, ID, BODY)
        assert outcome.error is not None
        assert "internal error" not in outcome.error
        assert len(receiver.posts) == 2


@in_loop
async def test_a_kept_connection_that_was_closed_meanwhile_does_not_matter() -> None:
    """Its end was seen before the next attempt: that one gets a new connection, `again` or not."""
    for again in (True, False):
        async with receiving() as receiver, webhook_sender() as carrying:
            to = endpoint(receiver.url())
            assert (await carrying.send(to, ID, BODY)).error is None
            await receiver.disconnect()
            await asyncio.sleep(0.1)  # the client sees the end, of which it says nothing
            assert (await carrying.send(to, ID, BODY, retry_closed_connection=again)).error is None
            assert (receiver.connections, len(receiver.posts)) == (2, 2)


@in_loop
async def test_once_more_is_once() -> None:
    """An endpoint that ends every connection is tried twice with `again`, and that is one failed attempt."""
    async with receiving(saying(b"", close=True)) as receiver, webhook_sender() as carrying:
        outcome = await carrying.send(endpoint(receiver.url()), ID, BODY, retry_closed_connection=True)
        assert outcome.error == "the connection was closed before there was an answer"
        assert len(receiver.posts) == 2


@in_loop
async def test_an_answered_failure_is_not_retried_at_once() -> None:
    """`again` is for connections: what the endpoint answered counts, and so does no answer in time."""

    async def silent(_: Exchange) -> None:
        await asyncio.Event().wait()

    for script in (saying(whole(500)), saying(b"garbage\r\n\r\n", close=True), silent):
        async with receiving(script) as receiver, webhook_sender() as carrying:
            timeout_s = 1.0 if script is silent else 30.0
            outcome = await carrying.send(
                endpoint(receiver.url(), timeout_s=timeout_s), ID, BODY, retry_closed_connection=True
            )
            assert outcome.error is not None
            assert len(receiver.posts) == 1


@in_loop
async def test_a_cancelled_attempt_leaves_nothing_behind() -> None:
    """Its connection is closed, and the next attempt is a whole one."""

    async def silent(_: Exchange) -> None:
        await asyncio.Event().wait()

    async with receiving(silent) as receiver, webhook_sender() as carrying:
        to = endpoint(receiver.url())
        going = asyncio.create_task(carrying.send(to, ID, BODY))
        await until(lambda: receiver.posts)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        receiver.script = obey
        assert (await carrying.send(to, ID, BODY)).error is None
        assert receiver.connections == 2


_TRUST = """
import sys
from pathlib import Path
from answerback.errors import ConfigError
from answerback.certificates import CertificateFiles, Certificates
try:
    Certificates({"own": CertificateFiles(client_cert=Path(sys.argv[1]))})
except ConfigError:
    print("refused")
"""


def test_a_key_behind_a_pass_phrase_is_refused(authority: Authority) -> None:
    """Nobody is there to type it: the gateway must not stand still and ask for it."""
    bundle = authority.lock(authority.issue("locked"))
    command = ending(sys.executable, "-c", _TRUST, bundle)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as asking:  # its standard input stays open and silent, as a terminal does
        assert asking.stdout is not None
        try:
            asking.wait(60)
        except subprocess.TimeoutExpired:
            asking.kill()
            pytest.fail("it waits for a pass phrase")
        assert asking.stdout.read() == b"refused\n"


@in_loop
async def test_nothing_is_sent_too_late() -> None:
    """The right to send is asked for when there is a connection; it may have gone while that was made."""
    async with receiving() as receiver:
        webhook_sender = WebhookSender()
        for allowed in (True, False, True):
            webhook_sender.may_send = lambda allowed=allowed: allowed  # type: ignore[misc]
            try:
                outcome = await webhook_sender.send(endpoint(receiver.url()), "dlv_1_9f86d081884c", b"{}")
                assert (allowed, outcome.error) == (True, None)
            except LeaseExpired:
                assert not allowed
        assert len(receiver.posts) == 2
        await webhook_sender.close()
