"""An HTTP proxy on 127.0.0.1 that tunnels each CONNECT to one port, whatever name it asks for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Proxy:
    """`requests` are the heads that came, as text."""

    def __init__(self, port: int, answer: bytes) -> None:
        self._port = port
        self._answer = answer
        self.url = ""
        self.requests: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one CONNECT, then carry bytes both ways."""
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(self._answer)
        there = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.suppress(OSError):
            await asyncio.gather(_carry(reader, there[1]), _carry(there[0], writer))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def proxying(port: int, answer: bytes = b"HTTP/1.1 200 Connected\r\n\r\n") -> AsyncIterator[Proxy]:
    """A proxy in front of a port."""
    proxy = Proxy(port, answer)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
