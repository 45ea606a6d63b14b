"""A business's receiver in a process of its own, with nothing but the standard library: it behaves as it is told to.

Each request that it took is a JSON line in the log before it is answered, so that a SIGKILL forgets nothing.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ACCEPTED = '{"result":0,"errmsg":"OK"}'


class Reply(NamedTuple):
    """What goes back: `sent` of the bytes after `wait_s`; the connection stays where `keeps` says so."""

    status: int
    sent: bytes
    wait_s: float = 0.0
    keeps: bool = True


def http(status: int, body: str, *headers: str) -> bytes:
    """The bytes of one answer."""
    content = body.encode()
    lines = [f"HTTP/1.1 {status} So", "Content-Type: application/json", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def obeying(_options: argparse.Namespace, _number: int) -> Reply:
    """Take everything."""
    return Reply(200, http(200, ACCEPTED))


def slow(options: argparse.Namespace, _number: int) -> Reply:
    """Take everything, after a while."""
    return Reply(200, http(200, ACCEPTED), wait_s=options.wait_s)


def refusing(options: argparse.Namespace, number: int) -> Reply:
    """Answer `--status` and `--answer`, to the first `--fail-first` only where that is given."""
    if options.fail_first and number > options.fail_first:
        return obeying(options, number)
    headers = [f"Retry-After: {options.retry_after}"] if options.retry_after else []
    return Reply(options.status, http(options.status, options.answer, *headers))


def flapping(options: argparse.Namespace, number: int) -> Reply:
    """Fail the first of each two."""
    return refusing(options, number) if number % 2 else obeying(options, number)


def garbage(_options: argparse.Namespace, _number: int) -> Reply:
    """Answer what is no HTTP."""
    return Reply(0, b"\x00\xff\xfeSSH-2.0-what?\r\n\r\n\x80\x81", keeps=False)


def redirecting(options: argparse.Namespace, _number: int) -> Reply:
    """Send everybody elsewhere."""
    return Reply(options.status, http(options.status, "", f"Location: {options.location}"))


def closing(_options: argparse.Namespace, _number: int) -> Reply:
    """Hang up half-way through the answer."""
    return Reply(200, http(200, ACCEPTED)[:-9], keeps=False)


def hanging_up(_options: argparse.Namespace, _number: int) -> Reply:
    """Hang up without an answer."""
    return Reply(0, b"", keeps=False)


BEHAVIOURS: dict[str, Callable[[argparse.Namespace, int], Reply]] = {
    behaviour.__name__: behaviour
    for behaviour in (obeying, slow, refusing, flapping, garbage, redirecting, closing, hanging_up)
}


class Receiver:
    """What it took so far, and how many requests are under way."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._behave = BEHAVIOURS[options.behaviour]
        self._log = os.open(options.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(self._log, b"\n")  # ends the line that a SIGKILL may have cut off
        self._taken = 0
        self._busy = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._serve_one(reader, writer):
                pass
        writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self._taken += 1
        self._busy += 1
        try:
            reply = self._behave(self._options, self._taken)
            self._note(head[0], headers, body, reply)
            if reply.wait_s:
                await asyncio.sleep(reply.wait_s)  # a slow receiver
            writer.write(reply.sent)
            await writer.drain()
        finally:
            self._busy -= 1
        return reply.keeps

    def _note(self, line: str, headers: dict[str, str], body: bytes, reply: Reply) -> None:
        method, path, _ = line.split(" ")
        taken = {
            "at_s": time.time(),
            "method": method,
            "path": path,
            "id": headers.get("webhook-id", ""),
            "headers": headers,
            "body": base64.b64encode(body).decode(),
            "status": reply.status,
            "busy": self._busy,
        }
        os.write(self._log, json.dumps(taken).encode() + b"\n")


def tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    """How it proves itself, and whose certificates it wants to see."""
    if options.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate)
    if options.client_ca is not None:
        context.load_verify_locations(options.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def serve(options: argparse.Namespace) -> None:
    """Listen until killed, or until SIGTERM, which ends it between two requests."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    receiver = Receiver(options)
    server = await asyncio.start_server(receiver.talk, "127.0.0.1", options.port, ssl=tls(options), backlog=1024)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await server.serve_forever()


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--behaviour", choices=list(BEHAVIOURS), default="obeying")
    parser.add_argument("--wait-s", type=float, default=1.0, help="how long a slow one takes")
    parser.add_argument("--status", type=int, default=500, help="what a refusing, flapping or redirecting one answers")
    parser.add_argument("--answer", default='{"result":1,"errmsg":"no"}', help="with what body")
    parser.add_argument("--fail-first", type=int, default=0, help="refuse only so many")
    parser.add_argument("--retry-after", default="", help="the Retry-After of what is refused")
    parser.add_argument("--location", default="", help="where a redirecting one points to")
    parser.add_argument("--certificate", type=Path, help="PEM file with certificate and key: speak TLS")
    parser.add_argument("--client-ca", type=Path, help="PEM file: want a client certificate by this authority")
    return parser.parse_args()


def main() -> None:
    """Be a receiver until killed."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(read_options()))


if __name__ == "__main__":
    main()
