"""What is written to a connection waits for the end of the loop's turn; by then the connection may be gone."""

import asyncio
import socket
from typing import Any

import uvloop

from answerback.http_protocol import CorkedTransport


def test_a_connection_that_is_cut_off_meanwhile() -> None:
    """What waits for it is dropped without a complaint."""
    complaints: list[dict[str, Any]] = []

    async def scenario() -> bytes:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: complaints.append(context))
        ours, theirs = socket.socketpair()
        lost = loop.create_future()

        class Connection(asyncio.Protocol):
            def connection_lost(self, exc: Exception | None) -> None:
                lost.set_result(exc)

        transport, _ = await loop.create_connection(Connection, sock=ours)
        corked = CorkedTransport(transport, loop)
        corked.write(b"whole")
        await asyncio.sleep(0)
        transport.abort()
        corked.write(b"late")
        await lost
        await asyncio.sleep(0)
        with theirs:
            return theirs.recv(100) + theirs.recv(100)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(scenario()) == b"whole"
    assert complaints == []
