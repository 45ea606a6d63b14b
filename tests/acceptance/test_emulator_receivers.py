"""Receivers as they are: what the emulator makes of the answers of servers old, odd and broken."""

import asyncio
import re
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from answerback.emulator.authority import make_certificate
from answerback.emulator.callback_sender import CallbackSender, ReceiverResponse
from answerback.emulator.faults import OutgoingCallback

BODY = b'{"result":0,"errmsg":"OK"}'
LENGTH_SENT = re.compile(rb"content-length: ([0-9]+)", re.IGNORECASE)
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
FINE = b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + BODY


async def answered(answer: bytes, *, hangs_up: bool) -> list[ReceiverResponse]:
    """What is made of two callbacks that are each answered so, over one connection where the server keeps it."""
    talks: list[asyncio.Task[None]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while found := LENGTH_SENT.search(await reader.readuntil(b"\r\n\r\n")):
                await reader.readexactly(int(found[1]))
                writer.write(answer)
                if hangs_up:
                    break
        writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.get_running_loop().create_task(talk(reader, writer)))

    sender = CallbackSender()
    async with await asyncio.start_server(begin, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        responses = [await sender.send(url, OutgoingCallback(0.0, b"{}")) for _ in range(2)]
        await sender.close()
        await asyncio.gather(*talks)
    return responses


@pytest.mark.parametrize(
    ("answer", "hangs_up"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n" + BODY, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n" + BODY, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1a;x=y\r\n" + BODY + b"\r\n0\r\nX: y\r\n\r\n", False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + FINE, False),
        (b"HTTP/1.1 200\r\n" + LENGTH + b"\r\n" + BODY, False),
        ("HTTP/1.1 200 成功\r\n".encode("gbk") + LENGTH + b"\r\n" + BODY, False),
        (b"HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade\r\n" + LENGTH + b"\r\n" + BODY, False),
        (FINE + b"\r\n", False),
    ],
    ids=["1.0", "identity", "chunked", "1xx", "no reason", "GBK", "an offer of HTTP/2", "a line too many"],
)
def test_a_callback_is_taken_however_http_is_spoken(answer: bytes, *, hangs_up: bool) -> None:
    """Once and again."""
    assert [response.error for response in asyncio.run(answered(answer, hangs_up=hangs_up))] == [None, None]


@pytest.mark.parametrize(
    ("answer", "hangs_up", "error"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", False, "(101)"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + BODY, True, "before the answer was complete"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", False, "the answer is not HTTP"),
        (b"", True, "closed before the answer"),
    ],
    ids=["101", "cut off", "SSH", "nothing"],
)
def test_what_is_no_answer_is_described(
    answer: bytes, error: str, capfd: pytest.CaptureFixture[str], *, hangs_up: bool
) -> None:
    """In a sentence, and without a stack trace."""
    for response in asyncio.run(answered(answer, hangs_up=hangs_up)):
        assert response.status is None
        assert error in (response.error or "")
    assert capfd.readouterr().err == ""


def test_a_redirect_is_named() -> None:
    """Often a slash is missing at the end of the URL; whatever else the answer says, it is not followed."""
    redirect = FINE.replace(b"200 OK", b"307 Temporary Redirect\r\nLocation: /callback/")
    errors = [response.error for response in asyncio.run(answered(redirect, hangs_up=False))]
    assert errors == ["redirects are not followed: use the URL that this one leads to"] * 2


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:1/", "no answer: Connection refused"),
        ("http://localhost:1/", "no answer: Connection refused"),
        ("https://127.0.0.1:{port}/", "no answer: no secure connection: the server does not speak TLS: use http://"),
        (
            "https://127.0.0.1:{tls_port}/",
            "no answer: the certificate is not trusted: unable to get local issuer certificate",
        ),
    ],
)
def test_a_receiver_that_cannot_be_reached_is_described(tmp_path: Path, url: str, error: str) -> None:
    """In the system's words, or with what to change; never by number, address or line of a library."""

    async def send() -> ReceiverResponse:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(make_certificate(tmp_path).certificate)

        def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        plain = await asyncio.start_server(refuse, "127.0.0.1", 0)
        secure = await asyncio.start_server(refuse, "127.0.0.1", 0, ssl=tls)
        async with plain, secure:
            port, tls_port = (server.sockets[0].getsockname()[1] for server in (plain, secure))
            return await CallbackSender().send(url.format(port=port, tls_port=tls_port), OutgoingCallback(0.0, b"{}"))

    assert asyncio.run(send()).error == error
