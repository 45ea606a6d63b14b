"""A receiver of deliveries whose every byte the test decides."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple

ANSWER = b'{"result":0,"errmsg":"OK"}'


class Post(NamedTuple):
    """A request as it came in."""

    connection: int
    line: str
    headers: list[tuple[str, str]]
    body: bytes
    at_s: float

    def header(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for given, value in self.headers if given.lower() == name.lower()]


class Exchange(NamedTuple):
    """One request, and the way back."""

    post: Post
    number: int
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        """Send these bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int = 200, body: bytes = ANSWER, headers: Sequence[str] = ()) -> None:
        """Send a whole answer."""
        await self.say(whole(status, body, headers))

    async def close(self) -> None:
        """End the connection."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


Script = Callable[[Exchange], Awaitable[None]]


def whole(status: int = 200, body: bytes = ANSWER, headers: Sequence[str] = ()) -> bytes:
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def obey(exchange: Exchange) -> None:
    """Answer what the cloud's contract and Standard Webhooks both take for success."""
    await exchange.answer()


def saying(data: bytes, *, close: bool = False) -> Script:
    """Answer every request with these bytes."""

    async def say(exchange: Exchange) -> None:
        await exchange.say(data)
        if close:
            await exchange.close()

    return say


class Receiver:
    """A server on a free port of 127.0.0.1. `script` may be changed at any time."""

    def __init__(self, script: Script, scheme: str) -> None:
        self.script = script
        self.scheme = scheme
        self.port = 0
        self.posts: list[Post] = []
        self.connections = 0
        self.refused: list[Exception] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[Any]] = set()

    def url(self, host: str = "127.0.0.1", path: str = "/voice") -> str:
        """Where it is."""
        return f"{self.scheme}://{host}:{self.port}{path}"

    @property
    def bodies(self) -> list[bytes]:
        """What came, in order."""
        return [post.body for post in self.posts]

    async def disconnect(self) -> None:
        """End every connection, as a server does that was restarted; it goes on listening."""
        for writer in list(self._writers):
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take requests as long as the connection is there."""
        self.connections += 1
        connection = self.connections
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self._writers.add(writer)
        try:
            while post := await _read(reader, connection):
                self.posts.append(post)
                await self.script(Exchange(post, len(self.posts), writer))
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError) as error:
            self.refused.append(error)
        except asyncio.CancelledError:
            pass
        finally:
            self._writers.discard(writer)
            self._handlers.discard(task)
            writer.close()

    async def end(self) -> None:
        """Cut everything off."""
        for task in list(self._handlers):
            task.cancel()
        if self._handlers:
            await asyncio.wait(self._handlers)


async def _read(reader: asyncio.StreamReader, connection: int) -> Post | None:
    """One request; None at the connection's end."""
    head = await reader.readuntil(b"\r\n\r\n")
    line, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = [(name, value) for name, _, value in (each.partition(": ") for each in rest)]
    (size,) = [int(value) for name, value in headers if name.lower() == "content-length"]
    return Post(connection, line, headers, await reader.readexactly(size), time.monotonic())


@contextlib.asynccontextmanager
async def receiving(script: Script = obey, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver that follows `script`."""
    receiver = Receiver(script, "http" if tls is None else "https")
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls, backlog=512)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.end()
        await server.wait_closed()
