"""Senders as they are: offers of HTTP/2, ends that close early, bytes that nobody asked for, HEAD."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cloud import VoiceCloud, signed
from gateway import CALLBACK, OK, Gateway, Wire, chunked, prompt, request
from relay.certificates import Authority, found_authority

OFFERS = {
    "h2c": (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAAA"),
    "h2c, close": (b"Connection: upgrade, close", b"Upgrade: h2c"),
    "websocket": (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    "several": (b"UPGRADE: h2c", b"upgrade: TLS/1.0", b"Connection: keep-alive", b"Connection: upgrade"),
}
READERS_OF_ONE_KEY = 8


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signed the emulator's certificate."""
    return found_authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module", params=["http", "https"])
def cloud(
    request: pytest.FixtureRequest, gateway: Gateway, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VoiceCloud]:
    """An emulator, by http and by https."""
    home = tmp_path_factory.mktemp("cloud")
    options: dict[str, Any] = {}
    if request.param == "https":
        options["certificate"] = authority.issue("emulator", hosts="IP:127.0.0.1")
    with VoiceCloud(home, gateway.url + CALLBACK, authority=authority.file, instant=True, **options) as running:
        yield running


def rows_of(gateway: Gateway, callid: str) -> int:
    """How many calls the ledger has whose id begins so."""
    return int(gateway.rows("SELECT count(*) FROM calls WHERE callid LIKE ?", f"{callid}%")[0][0])


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("framing", ["length", "chunked", "after the head", "byte by byte", "expect"])
def test_an_offer_of_another_protocol_is_ignored(
    gateway: Gateway, callid: str, offer: tuple[bytes, ...], framing: str
) -> None:
    """The body of a request that offers another protocol is read, and so is the request behind it."""
    body, behind = prompt(callid), request(prompt(f"{callid}-behind"))
    whole = request(body, *offer)
    if framing == "chunked":
        whole = request(chunked(body[:9], body[9:]), b"Transfer-Encoding: chunked", *offer)
    with Wire(gateway) as wire:
        if framing == "expect":
            head, _, _ = request(body, b"Expect: 100-continue", *offer).partition(b"{")
            wire.send(head)
            assert wire.read().status == 100
            wire.send(body)
        elif framing == "after the head":
            wire.send(whole.removesuffix(body), body)
        elif framing == "byte by byte":
            wire.send(*(whole[at : at + 1] for at in range(len(whole))))
        else:
            wire.send(whole + (b"" if b"close" in offer[0] else behind))
        assert wire.read().body == OK
        if b"close" in offer[0]:
            assert wire.is_closed()
            return
        if framing not in {"length", "chunked"}:
            wire.send(behind)
        assert wire.read().body == OK
        wire.send(request(body, *offer) * 3)
        assert [wire.read().body for _ in range(3)] == [OK] * 3
    assert rows_of(gateway, callid) == 2


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_an_offer_hides_no_request_in_a_body(gateway: Gateway, callid: str, offer: tuple[bytes, ...]) -> None:
    """A body that looks like a request is a body; two framings, or none that is clear, are refused as ever."""
    hidden = request(prompt(f"{callid}-hidden"))
    with Wire(gateway) as wire:
        wire.send(request(hidden, *offer))
        assert json.loads(wire.read().body)["result"] == 3003
    for framing in (
        (b"Content-Length: 0", b"Transfer-Encoding: chunked"),
        (b"Content-Length: 0", b"Content-Length: 5"),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Transfer-Encoding: xchunked",),
    ):
        head = [f"POST {CALLBACK} HTTP/1.1".encode(), b"Host: g", *framing, *offer, b"", b""]
        with Wire(gateway) as wire:
            wire.send(b"\r\n".join(head) + b"0\r\n\r\n" + hidden)
            assert wire.read().status == 400
            assert wire.is_closed()
    assert rows_of(gateway, callid) == 0


def test_many_offers_in_a_segment_are_ignored(gateway: Gateway, callid: str) -> None:
    """Each is answered, and the head behind them, of which a part came with them, is not taken for a large one."""
    offer = f"GET {CALLBACK} HTTP/1.1\r\n".encode() + b"\r\n".join(OFFERS["h2c"]) + b"\r\n\r\n"
    last = request(prompt(callid))
    with Wire(gateway) as wire:
        wire.send(700 * offer + last[:40])
        assert {wire.read().status for _ in range(700)} == {405}
        wire.send(last[40:])
        assert wire.read().body == OK


def test_connect_is_refused(gateway: Gateway, callid: str) -> None:
    """There is no tunnel: CONNECT is answered 400 after what was asked before, and nothing behind it is read."""
    with Wire(gateway) as wire:
        wire.send(
            request(prompt(callid)) + b"CONNECT g:80 HTTP/1.1\r\nHost: g:80\r\n\r\n" + request(prompt(f"{callid}-2"))
        )
        assert wire.read().body == OK
        answer = wire.read()
        assert (answer.status, json.loads(answer.body)["result"]) == (400, 1030)
        assert wire.is_closed()
    assert rows_of(gateway, callid) == 1


@pytest.mark.parametrize("path", ["/v1/callbacks", "/console/sign-in"])
def test_other_urls_ignore_an_offer_too(gateway: Gateway, callid: str, path: str) -> None:
    """/v1 and the console read the body of a request that offers h2c."""
    body = prompt(callid) if path.startswith("/v1") else b"key=nobody"
    headers = (b"Authorization: Bearer " + gateway.key.encode(), b"Content-Type: application/x-www-form-urlencoded")
    with Wire(gateway) as wire:
        wire.send(request(body, *headers, *OFFERS["h2c"], path=path))
        assert wire.read().status == (200 if path.startswith("/v1") else 422)
        wire.send(
            b"GET /v1/calls HTTP/1.1\r\nHost: g\r\n" + headers[0] + b"\r\n" + b"\r\n".join(OFFERS["h2c"]) + b"\r\n\r\n"
        )
        assert wire.read().status == 200


def test_curl_with_http2_is_answered(gateway: Gateway, callid: str, cloud: VoiceCloud, authority: Authority) -> None:
    """`curl --http2` offers h2c with its body, to the gateway and to the emulator."""
    body = prompt(callid).decode()
    assert curl("--http2", "--data", body, gateway.url + CALLBACK) == OK.decode()
    sent = curl(
        "--http2",
        *("--cacert", str(authority.file)),
        *("--data", json.dumps(signed("13788888888"))),
        f"{cloud.url}/v5/tlsvoicesvr/sendvoiceprompt?sdkappid=1400000001&random=7226249334",
    )
    assert json.loads(sent)["result"] == 0, sent


def curl(*arguments: str) -> str:
    """What curl prints."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")
    command = ["curl", "--silent", "--show-error", "--max-time", "20", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


_JAVA = """
import java.net.URI;
import java.net.http.*;
public class Post {
    public static void main(String[] args) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (String body : new String[] {args[1], args[2]}) {
            HttpRequest post = HttpRequest.newBuilder(URI.create(args[0]))
                .POST(HttpRequest.BodyPublishers.ofString(body)).build();
            System.out.println(client.send(post, HttpResponse.BodyHandlers.ofString()).body());
        }
    }
}
"""


def test_the_http_client_of_java_is_answered(gateway: Gateway, callid: str, tmp_path: Path) -> None:
    """java.net.http.HttpClient, which Spring uses too, offers h2c with each first request."""
    if shutil.which("javac") is None:
        pytest.skip("no JDK is on this machine")
    (tmp_path / "Post.java").write_text(_JAVA)
    bodies = [prompt(callid).decode(), prompt(f"{callid}-2").decode()]
    command = ["java", "-XX:TieredStopAtLevel=1", str(tmp_path / "Post.java"), gateway.url + CALLBACK, *bodies]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.stdout.split() == [OK.decode()] * 2, done.stderr
    assert rows_of(gateway, callid) == 2


@pytest.mark.parametrize("many", [1, 5])
def test_a_sender_that_ends_its_half_is_answered(gateway: Gateway, callid: str, many: int) -> None:
    """Who shuts its sending side down after its requests gets their answers, and then the end."""
    with Wire(gateway) as wire:
        wire.send(b"".join(request(prompt(f"{callid}-{number}")) for number in range(many)))
        wire.socket.shutdown(socket.SHUT_WR)
        assert [wire.read().body for _ in range(many)] == [OK] * many
        assert wire.is_closed()


def test_a_request_that_is_cut_off_takes_no_answer_from_the_one_before(gateway: Gateway, callid: str) -> None:
    """The whole request is answered, the half one is not stored."""
    with Wire(gateway) as wire:
        wire.send(request(prompt(callid)) + request(prompt(f"{callid}-half"))[:-5])
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.read().body == OK
        assert wire.is_closed()
    assert rows_of(gateway, callid) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/healthz", "/v1/calls", "/console/sign-in", "/metrics"])
def test_readers_that_end_their_half_are_answered(gateway: Gateway, path: str, method: str) -> None:
    """So it is where something is read, with a body or without one."""
    with Wire(gateway) as wire:
        wire.send(f"{method} {path} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {gateway.key}\r\n\r\n".encode())
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.read(head_only=method == "HEAD").status == 200
        assert wire.is_closed()


@pytest.mark.parametrize("stray", [b"junk", b"\x00\xff", b"{}\r\n\r\n", b"GET nowhere\r\n\r\n"])
def test_stray_bytes_behind_a_request_are_refused_after_its_answer(gateway: Gateway, callid: str, stray: bytes) -> None:
    """A body longer than it says it is, is a request and stray bytes: an answer to the one, 400 to the others."""
    with Wire(gateway) as wire:
        wire.send(request(prompt(callid)) + request(prompt(f"{callid}-2")) + stray + b"\r\n\r\n" * 2)
        assert [wire.read().body for _ in range(2)] == [OK] * 2
        assert wire.read().status == 400
        assert wire.is_closed()


def test_a_broken_body_behind_a_request_takes_no_answer_from_it(gateway: Gateway, callid: str) -> None:
    """A chunk that is none is refused in its turn, and what was chunked is not stored."""
    broken = request(b"zz\r\n", b"Transfer-Encoding: chunked")
    with Wire(gateway) as wire:
        wire.send(request(prompt(callid)) + broken)
        assert wire.read().body == OK
        assert wire.read().status == 400
        assert wire.is_closed()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/openapi.json", 200),
        ("/v1/calls", 200),
        ("/v1/calls/nobody", 404),
        ("/v1/exports/calls.csv", 200),
        ("/console", 303),
        ("/console/sign-in", 200),
        ("/nowhere", 404),
        (CALLBACK, 405),
    ],
)
def test_head_works_where_get_does(gateway: Gateway, path: str, status: int) -> None:
    """HEAD has the status and the headers of GET, no body, and the connection goes on."""
    authorization = f"Authorization: Bearer {gateway.key}\r\n"
    with Wire(gateway) as wire:
        for _ in range(2):
            wire.send(f"HEAD {path} HTTP/1.1\r\nHost: g\r\n{authorization}\r\n".encode())
            head = wire.read(head_only=True)
            assert head.status == status
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n")
        assert wire.read().status == 200
        assert wire.is_closed()
    assert head.headers["content-type"] == gateway.get(path).headers.get("content-type")


def test_head_of_what_never_ends_has_an_end(gateway: Gateway) -> None:
    """HEAD of the live view's events is answered and ends at once, and holds no place among its readers."""
    with Wire(gateway) as wire:
        form = b"key=" + gateway.key.encode()
        wire.send(request(form, path="/console/sign-in"))
        cookie = wire.read().headers["set-cookie"].partition(";")[0]
        for _ in range(READERS_OF_ONE_KEY + 2):
            wire.send(f"HEAD /console/live/events HTTP/1.1\r\nHost: g\r\nCookie: {cookie}\r\n\r\n".encode())
            assert wire.read(head_only=True).headers["content-type"].startswith("text/event-stream")


def test_the_emulator_answers_head(cloud: VoiceCloud) -> None:
    """HEAD of its page and of its calls has the type and the length of GET, and no body."""
    for path in ("/", "/api/calls"):
        head, whole = cloud.client.head(path), cloud.client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == whole.headers["content-type"]
        assert int(head.headers["content-length"]) > 0


def test_white_space_behind_a_header_is_no_part_of_it(gateway: Gateway) -> None:
    """RFC 9110, section 5.5: a form is not taken for another site's because of it."""
    for site, status in ((b"same-origin \t", 422), (b"cross-site", 403)):
        with Wire(gateway) as wire:
            wire.send(request(b"key=none", b"Sec-Fetch-Site: " + site, path="/console/sign-in"))
            assert wire.read().status == status


@pytest.mark.parametrize("cloud", ["http"], indirect=True)
def test_the_emulator_answers_a_sender_that_ends_its_half(cloud: VoiceCloud) -> None:
    """By plain HTTP; an end of TLS is the end of both halves."""
    parts = urlsplit(cloud.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=15) as plain:
        plain.sendall(b"GET /api/calls HTTP/1.1\r\nHost: g\r\n\r\n")
        plain.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: plain.recv(65536), b"")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("segments", ["one", "two", "no end", "behind another", "begun behind another", "one line"])
def test_a_head_over_the_limit_is_refused_however_it_comes(gateway: Gateway, callid: str, segments: str) -> None:
    """70 kB of head are answered 431, in one segment too, and behind a request that is answered first."""
    body = prompt(f"{callid}-large")
    filler = [b"X-Filler-%d: %b" % (number, b"x" * 1000) for number in range(70)]
    large = request(body, *([b"X-Filler: " + b"x" * 70_000] if segments == "one line" else filler))
    with Wire(gateway) as wire:
        match segments:
            case "two":
                wire.send(large[:40_000], large[40_000:])
            case "no end":
                wire.send(large.removesuffix(body)[:-4])
            case "behind another":
                wire.send(request(prompt(callid)) + large)
                assert wire.read().body == OK
            case "begun behind another":
                wire.send(request(prompt(callid)) + large[:60_000])
                assert wire.read().body == OK
                wire.send(large[60_000:])
            case _:
                wire.send(large)
        answer = wire.read()
        assert (answer.status, json.loads(answer.body)["result"]) == (431, 1036)
        assert wire.is_closed()
    assert gateway.get(f"/v1/calls/{callid}-large").status_code == 404


def test_a_large_body_is_not_taken_for_a_large_head(gateway: Gateway, callid: str) -> None:
    """Behind a body of 60 kB, in the same segment, a head may begin."""
    large = prompt(callid, note="x" * 60_000)
    behind = request(prompt(f"{callid}-behind"), b"X-Filler: " + b"x" * 9_000)
    with Wire(gateway) as wire:
        wire.send(request(large) + behind[:8_000])
        assert wire.read().body == OK
        wire.send(behind[8_000:])
        assert wire.read().body == OK
