"""The wire below HTTP libraries: what a proxy, a phone line or an attacker may do with a connection."""

import itertools
import json
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from gateway import CALLBACK, OK, Gateway, Wire, chunked, length, prompt, request
from receivers.process import await_true

LARGEST_HEAD_BYTES = 65_536


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that gives a request one second to arrive."""
    data_dir = tmp_path_factory.mktemp("impatient") / "data"
    with Gateway(data_dir, settings={"ANSWERBACK_INTAKE__REQUEST_TIMEOUT_S": "1"}) as running:
        yield running


@pytest.fixture(scope="module")
def restless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that keeps an idle connection for a second, and takes large bodies."""
    data_dir = tmp_path_factory.mktemp("restless") / "data"
    settings = {"ANSWERBACK_INTAKE__KEEP_ALIVE_S": "1", "ANSWERBACK_INTAKE__MAX_BODY_BYTES": "1048576"}
    with Gateway(data_dir, settings=settings) as running:
        yield running


def test_a_connection_is_kept_for_the_next_request(gateway: Gateway, callid: str) -> None:
    """Many requests, good and refused, are answered one after the other on one connection."""
    with Wire(gateway) as wire:
        for number in range(20):
            wire.send(request(prompt(f"{callid}-{number}")))
            assert wire.read().body == OK
            wire.send(request(b"junk %d" % number))
            assert wire.read().status == 400


def test_pipelined_requests_are_answered_in_order(gateway: Gateway, callid: str) -> None:
    """Several requests in one segment are all answered, in their order."""
    bodies = [prompt(callid), b"junk", prompt(f"{callid}-2"), b"{}", prompt(callid)]
    with Wire(gateway) as wire:
        wire.send(b"".join(map(request, bodies)))
        assert [json.loads(wire.read().body)["result"] for _ in bodies] == [0, 3003, 0, 1011, 0]
    assert gateway.items(f"/v1/calls/{callid}/callbacks")[0]["duplicates"] == 1


def test_many_pipelined_requests_are_all_answered(gateway: Gateway, callid: str) -> None:
    """A hundred requests sent without waiting for an answer lose none."""
    with Wire(gateway) as wire:
        wire.send(b"".join(request(prompt(f"{callid}-{number}")) for number in range(100)))
        assert all(wire.read().body == OK for _ in range(100))
    assert gateway.rows("SELECT count(*) FROM calls WHERE callid LIKE ?", f"{callid}-%") == [(100,)]


@pytest.mark.parametrize("segment_bytes", [0, 4096, 97])
def test_any_request_may_follow_any_other(gateway: Gateway, callid: str, segment_bytes: int) -> None:
    """Callbacks, refusals and reads of every kind, each behind each other on one connection, are answered in order."""
    offer = (b"Connection: Upgrade", b"Upgrade: h2c")
    status_of = {
        request(prompt(callid)): 200,
        request(b"", b"Transfer-Encoding: chunked") + chunked(prompt(callid)): 200,
        request(prompt(callid), *offer): 200,
        request(b"junk"): 400,
        request(prompt(callid), path=f"{CALLBACK}/nobody"): 404,
        request(b"", path=f"{CALLBACK}").replace(b"POST", b"PUT", 1): 405,
        request(b"x" * 66_000): 413,
        _read(gateway): 200,
        _read(gateway, "/healthz"): 200,
        _read(gateway, "/v1/calls/nobody"): 404,
        request(b"{}", path="/v1/callbacks"): 401,
    }
    asked = [each for pair in itertools.product(status_of, repeat=2) for each in pair]
    whole = b"".join(asked)
    step = segment_bytes or len(whole)
    with Wire(gateway) as wire, ThreadPoolExecutor(1) as pool:
        pool.submit(wire.send, *(whole[at : at + step] for at in range(0, len(whole), step)))
        assert [wire.read().status for _ in asked] == [status_of[each] for each in asked]


def test_a_body_in_many_segments_is_read(gateway: Gateway, callid: str) -> None:
    """Head and body may arrive a few bytes at a time."""
    whole = request(prompt(callid))
    with Wire(gateway) as wire:
        wire.send(*(whole[start : start + 7] for start in range(0, len(whole), 7)))
        assert wire.read().body == OK


def test_one_byte_chunks_are_read(gateway: Gateway, callid: str) -> None:
    """A chunked body of one-byte chunks, with an extension and a trailer, is the same body."""
    body = prompt(callid)
    chunks = chunked(*(body[at : at + 1] for at in range(len(body))))
    with Wire(gateway) as wire:
        wire.send(request(b"", b"Transfer-Encoding: chunked"))
        wire.send(chunks.replace(b"1\r\n", b"1;ext=1\r\n", 1).removesuffix(b"\r\n") + b"X-Trailer: yes\r\n\r\n")
        assert wire.read().body == OK
        wire.send(request(body))
        assert wire.read().body == OK


@pytest.mark.parametrize("path", [CALLBACK, "/v1/callbacks"])
def test_a_trailer_that_ends_the_connection_is_heeded(gateway: Gateway, callid: str, path: str) -> None:
    """Whoever sends `Connection: close` behind a chunked body is answered and hung up on, and not left without a next answer."""
    last = chunked(prompt(callid)).removesuffix(b"\r\n") + b"Connection: close\r\n\r\n"
    with Wire(gateway) as wire:
        wire.send(request(b"", b"Transfer-Encoding: chunked", _authorization(gateway), path=path) + last)
        assert wire.read().body == OK
        assert wire.is_closed()


@pytest.mark.parametrize("path", [CALLBACK, "/v1/callbacks"])
@pytest.mark.parametrize("field", [b"X-Trailer: %b\r\n" % (b"x" * 1000), b"x" * 1000], ids=["many", "one"])
def test_a_trailer_that_never_ends_is_cut_off(gateway: Gateway, callid: str, path: str, field: bytes) -> None:
    """It is as large as a head may be, and no larger: nothing of it is kept."""
    body = chunked(prompt(callid)).removesuffix(b"\r\n")
    with Wire(gateway) as wire:
        wire.send(request(b"", b"Transfer-Encoding: chunked", _authorization(gateway), path=path) + body)
        wire.send(b"X-First: ", *[field] * 5000)
        assert wire.read().status == 431
        assert wire.is_closed()


def _authorization(gateway: Gateway) -> bytes:
    return b"Authorization: Bearer " + gateway.key.encode()


def test_a_sender_that_expects_100_is_answered_continue(gateway: Gateway, callid: str) -> None:
    """`Expect: 100-continue` is answered 100 before the body, then the callback is answered."""
    body = prompt(callid)
    with Wire(gateway) as wire:
        wire.send(request(b"", length(body), b"Expect: 100-continue \t").replace(b"Content-Length: 0\r\n", b""))
        assert wire.read().status == 100
        wire.send(body)
        assert wire.read().body == OK


def test_a_large_body_of_small_chunks_takes_no_longer(restless: Gateway, callid: str) -> None:
    """What has arrived is not copied with each piece: else it would not be here in time."""
    body = prompt(callid).ljust(400_000)
    whole = request(b"", b"Transfer-Encoding: chunked") + chunked(*(body[at : at + 1] for at in range(len(body))))
    with Wire(restless) as wire:
        wire.send(whole)
        assert wire.read().body == OK


@pytest.mark.parametrize("before", ["a callback", "a read"])
def test_a_sender_that_expects_100_is_answered_in_its_turn(gateway: Gateway, callid: str, before: str) -> None:
    """100 comes behind the answers to what was asked before: not in the midst of one, and not never."""
    first, body = prompt(f"{callid}-first"), prompt(callid)
    asking = request(b"", length(body), b"Expect: 100-continue").replace(b"Content-Length: 0\r\n", b"")
    with Wire(gateway) as wire:
        with gateway.locked("inbox.db" if before == "a callback" else "ledger.db"):
            if before == "a callback":
                wire.send(request(first) + asking)
            else:
                assert gateway.post(first).content == OK  # the read waits for it to be recorded
                wire.send(_read(gateway) + asking)
            wire.await_taken()
        assert [wire.read().status for _ in range(2)] == [200, 100]
        wire.send(body)
        assert wire.read().body == OK


def test_a_sender_that_leaves_costs_no_other_the_answer(gateway: Gateway, callid: str) -> None:
    """Also one that waits to be asked for its next body: those in the same batch are answered, and nothing is logged."""
    asking = request(b"", b"Expect: 100-continue").replace(b"Content-Length: 0", b"Content-Length: 9")
    logged = len(gateway.stderr)
    with ExitStack() as stack:
        before, leaving, *others = (stack.enter_context(Wire(gateway)) for _ in range(5))
        with gateway.locked():  # which must not take the two seconds that a commit waits for a lock
            for number in range(2):  # as many batches as may be on their way: all others are in the next
                before.send(request(prompt(f"{callid}-before-{number}")))
                before.await_taken()
            leaving.send(request(prompt(f"{callid}-leaving")) + asking)
            leaving.await_taken()
            for number, wire in enumerate(others):
                wire.send(request(prompt(f"{callid}-{number}")))
            leaving.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            leaving.close()
            gateway.await_pending(3 + len(others))  # it has seen that by then
        assert [wire.read().body for wire in (before, before, *others)] == [OK] * (2 + len(others))
    assert "Traceback" not in gateway.stderr[logged:]


def test_what_is_refused_waits_for_a_read_before_it(gateway: Gateway, callid: str) -> None:
    """CONNECT, and a request that is cut off after an offer, end the connection behind the answer to a slow read."""
    offer = request(prompt(callid), b"Connection: Upgrade", b"Upgrade: h2c")[:-5]
    for behind, statuses in ((b"CONNECT g:80 HTTP/1.1\r\nHost: g\r\n\r\n", [200, 400]), (offer, [200])):
        with Wire(gateway) as wire:
            with gateway.locked("ledger.db"):
                assert gateway.post(prompt(callid)).content == OK  # the read waits for it to be recorded
                wire.send(_read(gateway) + behind)
                wire.socket.shutdown(socket.SHUT_WR)
                wire.await_taken()
            assert [wire.read().status for _ in statuses] == statuses
            assert wire.is_closed()


def test_a_connection_rests_only_while_nothing_is_asked(restless: Gateway, callid: str) -> None:
    """It is closed after intake.keep_alive_s, but not while a request arrives or is answered."""
    with ExitStack() as stack:
        slow, waiting, idle = (stack.enter_context(Wire(restless)) for _ in range(3))
        second = request(prompt(f"{callid}-second"))
        slow.send(request(prompt(callid)) + second[:-10])
        assert slow.read().body == OK
        with restless.locked():
            waiting.send(_read(restless, "/healthz") + request(prompt(callid)))
            assert waiting.read().status == 200
            idle.send(_read(restless, "/healthz"))
            assert idle.read().status == 200
            assert idle.is_closed()
        assert waiting.read().status in {200, 503}
        slow.send(second[-10:])
        assert slow.read().body == OK
        assert slow.is_closed()


def _read(gateway: Gateway, path: str = "/v1/calls") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {gateway.key}\r\n\r\n".encode()


def test_a_sender_that_asks_first_need_not_send_too_much(gateway: Gateway) -> None:
    """`Expect: 100-continue` with a body over the limit is answered 413 at once, and the connection ends."""
    with Wire(gateway) as wire:
        head = request(b"", b"Content-Length: 70000", b"Expect: 100-continue")
        wire.send(head.replace(b"Content-Length: 0\r\n", b""))
        assert wire.read().status == 413
        assert wire.is_closed()


def test_http_1_0_is_answered_and_closed(gateway: Gateway, callid: str) -> None:
    """A sender of HTTP/1.0 gets its answer and the end of the connection."""
    body = prompt(callid)
    with Wire(gateway) as wire:
        wire.send(f"POST {CALLBACK} HTTP/1.0\r\n".encode() + length(body) + b"\r\n\r\n" + body)
        assert wire.read().body == OK
        assert wire.is_closed()


def test_connection_close_is_honoured(gateway: Gateway, callid: str) -> None:
    """A sender that wants no second request is hung up on after its answer."""
    with Wire(gateway) as wire:
        wire.send(request(prompt(callid), b"Connection: close"))
        assert wire.read().body == OK
        assert wire.is_closed()


def test_head_gives_the_head_alone(gateway: Gateway, callid: str) -> None:
    """The answer to HEAD has no body, and the connection goes on."""
    with Wire(gateway) as wire:
        wire.send(f"HEAD {CALLBACK} HTTP/1.1\r\nHost: g\r\n\r\n".encode())
        assert wire.read(head_only=True).status == 405
        wire.send(request(prompt(callid)))
        assert wire.read().body == OK


def test_an_absolute_url_and_a_query_are_understood(gateway: Gateway, callid: str) -> None:
    """What a proxy makes of the request line does not matter."""
    with Wire(gateway) as wire:
        for path in (f"{CALLBACK}?a=1&b=%00", f"http://gateway{CALLBACK}", f"HTTPS://[::1]:8443/{CALLBACK}/?a=1"):
            wire.send(request(prompt(callid), path=path))
            assert wire.read().body == OK, path


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"\x00" * 500,
        b"HELLO\r\n\r\n",
        b"POST\r\n\r\n",
        b"POST /voice/callback HTTP/9.9\r\n\r\n",
        b"POST /voice/callback HTTP/1.1\r\nContent-Length: minus one\r\n\r\n",
        b"POST /voice/callback HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /voice/callback HTTP/1.1\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
        b"POST /voice/callback HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhellox",
        b"POST /voice/callback HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /voice/callback HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"POST /voice/callback HTTP/1.1\r\nNo colon here\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=lambda garbage: repr(garbage[:60]),
)
def test_garbage_is_refused_and_harms_nobody(gateway: Gateway, callid: str, garbage: bytes) -> None:
    """Bytes that are no HTTP are answered 400 and the connection closed; others are served as before."""
    before = gateway.rows("SELECT (SELECT count(*) FROM callbacks), (SELECT count(*) FROM quarantine)")
    with Wire(gateway) as other, Wire(gateway) as wire:
        wire.send(garbage)
        assert wire.read().status == 400
        assert wire.is_closed()
        assert gateway.rows("SELECT (SELECT count(*) FROM callbacks), (SELECT count(*) FROM quarantine)") == before
        other.send(request(prompt(callid)))
        assert other.read().body == OK


@pytest.mark.parametrize("path", ["/voice/callback/\xff", "/\xff", "*", "/voice/callback/%", "/%"])
def test_an_odd_path_is_refused(gateway: Gateway, path: str) -> None:
    """A path that no URL may have is answered with a 4xx, never a 5xx and never silence."""
    with Wire(gateway) as wire:
        wire.send(b"POST " + path.encode("latin-1") + b" HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\n\r\n{}")
        assert wire.read().status in {400, 404, 405}


def test_a_head_that_is_too_large_is_answered_431(gateway: Gateway) -> None:
    """A head over the limit is refused before it ends, and the connection closed."""
    with Wire(gateway) as wire:
        wire.send(f"POST {CALLBACK} HTTP/1.1\r\nHost: g\r\n".encode())
        wire.send(*(b"X-Filler-%d: %b\r\n" % (number, b"x" * 1000) for number in range(LARGEST_HEAD_BYTES // 1000 + 2)))
        answer = wire.read()
        assert (answer.status, answer.headers["content-type"]) == (431, "application/json")
        assert json.loads(answer.body)["result"] == 1036
        assert wire.is_closed()


def test_a_large_head_below_the_limit_is_no_fault(gateway: Gateway, callid: str) -> None:
    """Cookies and tracing headers of some size are passed over."""
    with Wire(gateway) as wire:
        wire.send(request(prompt(callid), b"X-Filler: " + b"x" * 30_000))
        assert wire.read().body == OK


@pytest.mark.parametrize(
    "beginning",
    [b"", b"POST /voice", f"POST {CALLBACK} HTTP/1.1\r\nHost: g\r\n".encode(), request(prompt("slow"))[:-20]],
    ids=["nothing", "request line", "head", "body"],
)
def test_a_sender_that_stalls_is_answered_408(impatient: Gateway, beginning: bytes) -> None:
    """Who does not send the whole request in time is told so and hung up on; nothing of it is stored."""
    began_s = time.monotonic()
    with Wire(impatient) as wire:
        wire.send(beginning)
        answer = wire.read()
        assert (answer.status, answer.headers["content-type"]) == (408, "application/json")
        assert json.loads(answer.body)["result"] == 3011
        assert wire.is_closed()
    assert 0.9 <= time.monotonic() - began_s < 9  # by default it would be 10
    assert impatient.get("/v1/calls/slow").status_code == 404


def test_a_sender_that_drips_is_answered_408(impatient: Gateway) -> None:
    """A byte now and then does not extend the time: it is for the whole request."""
    began_s = time.monotonic()
    with Wire(impatient) as wire:
        for at in range(100):
            try:
                wire.send(request(prompt("drip"))[at : at + 1])
            except (BrokenPipeError, ConnectionResetError):
                break
            time.sleep(0.1)  # a slow sender
            if time.monotonic() - began_s > 3:
                break
        assert wire.read().status == 408
    assert impatient.get("/v1/calls/drip").status_code == 404


def test_an_idle_connection_is_not_a_slow_one(impatient: Gateway, callid: str) -> None:
    """Between two requests a connection may rest for longer than a request may take."""
    with Wire(impatient) as wire:
        wire.send(request(prompt(callid)))
        assert wire.read().body == OK
        with Wire(impatient) as stalling:
            stalling.send(b"POST")
            assert stalling.read().status == 408, "by now a request would have taken too long"
        wire.send(request(prompt(f"{callid}-later")))
        assert wire.read().body == OK


def test_a_sender_that_stalls_on_its_second_request_is_answered_408(impatient: Gateway, callid: str) -> None:
    """The time is kept for every request of a connection."""
    with Wire(impatient) as wire:
        wire.send(request(prompt(callid)), request(prompt("second"))[:-10])
        assert wire.read().body == OK
        assert wire.read().status == 408
        assert wire.is_closed()
    assert impatient.get("/v1/calls/second").status_code == 404


@pytest.mark.parametrize("chunks", [False, True], ids=["length", "chunked"])
def test_a_sender_that_hangs_up_half_way_leaves_nothing(gateway: Gateway, callid: str, *, chunks: bool) -> None:
    """A body that is cut off is neither a callback nor junk."""
    body = prompt(callid)
    before = gateway.rows("SELECT count(*) FROM quarantine")
    with Wire(gateway) as wire:
        if chunks:
            wire.send(request(b"", b"Transfer-Encoding: chunked"), chunked(body).removesuffix(b"0\r\n\r\n"))
        else:
            wire.send(request(body + b" ")[:-1])
        wire.await_taken()
    assert gateway.post(prompt(f"{callid}-after")).content == OK
    assert gateway.get(f"/v1/calls/{callid}").status_code == 404
    assert gateway.rows("SELECT count(*) FROM quarantine") == before


@pytest.mark.parametrize("path", ["/v1/callbacks", "/console/sign-in"])
def test_a_caller_that_hangs_up_half_way_is_no_fault(gateway: Gateway, path: str) -> None:
    """Of the API, and of the console: the log has no traceback of it."""
    logged = len(gateway.stderr)
    with Wire(gateway) as wire:
        form = b"Content-Type: application/x-www-form-urlencoded"
        wire.send(request(b"key=nobody", _authorization(gateway), form, path=path)[:-1])
        wire.await_taken()
    for _ in range(3):
        assert gateway.get("/v1/calls").status_code == 200
    assert "Traceback" not in gateway.stderr[logged:]


def test_a_sender_that_does_not_wait_for_the_answer_is_still_stored(gateway: Gateway, callid: str) -> None:
    """A whole callback counts, whether or not its sender reads the answer."""
    with Wire(gateway) as wire:
        wire.send(request(prompt(callid)))
    await_true(lambda: gateway.get(f"/v1/calls/{callid}").status_code == 200)


def test_many_connections_are_served_at_once(gateway: Gateway, callid: str) -> None:
    """Two hundred open connections are each answered."""
    wires = [Wire(gateway) for _ in range(200)]
    try:
        for number, wire in enumerate(wires):
            wire.send(request(prompt(f"{callid}-{number}")))
        assert all(wire.read().body == OK for wire in wires)
    finally:
        for wire in wires:
            wire.close()
