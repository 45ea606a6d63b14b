"""Callbacks from several connections at once, and the memory of what was answered."""

import asyncio
import contextlib
import json
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from gateway import OK, Gateway, prompt, request
from relay.waiting import until

_REPEATED = 0.1
ENDS = (ConnectionError, asyncio.IncompleteReadError, OSError)


class Connections:
    """Several connections on each of which `once` is done again and again, until they are stopped or nobody listens."""

    def __init__(
        self, count: int, once: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    ) -> None:
        self._count = count
        self._once = once
        self._stopped = False

    async def run(self, gateway: Gateway) -> None:
        """Use them with `gateway`; returns when every connection has ended."""
        self._stopped = False
        host, port = gateway.address
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._use_one(host, port))

    def stop(self) -> None:
        """Let each end after what it is at."""
        self._stopped = True

    async def _use_one(self, host: str, port: int) -> None:
        with contextlib.suppress(*ENDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                while not self._stopped:
                    await self._once(reader, writer)
            finally:
                writer.close()
                with contextlib.suppress(*ENDS):
                    await writer.wait_closed()


class Load:
    """Sends callbacks about new calls, and some again, until it is stopped or nobody listens any more.

    `sent` holds every body by its callid; `answered` how often each was answered with result 0; `refused` every
    other answer. Bodies are padded to `size_bytes`, and a connection pauses for `pause_s` after an answer.
    """

    def __init__(self, connections: int = 8, size_bytes: int = 0, pause_s: float = 0.0) -> None:
        self.sent: dict[str, bytes] = {}
        self.answered: dict[str, int] = {}
        self.refused: list[tuple[int, bytes]] = []
        self._size_bytes = size_bytes
        self._pause_s = pause_s
        senders = Connections(connections, self._send)
        self.run, self.stop = senders.run, senders.stop

    async def go_on(self) -> None:
        """Wait until it has had some more answers."""
        enough = len(self.answered) + 20
        await until(lambda: len(self.answered) >= enough)

    async def _send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callid, body = self._next()
        writer.write(request(body))
        self._note(callid, *await read_answer(reader))
        await asyncio.sleep(self._pause_s)  # the rate of the load

    def _next(self) -> tuple[str, bytes]:
        if self.sent and random.random() < _REPEATED:
            return random.choice(list(self.sent.items())[-100:])
        callid = str(uuid.uuid1())
        body = prompt(callid).ljust(self._size_bytes)
        self.sent[callid] = body
        return callid, body

    def _note(self, callid: str, status: int, answer: bytes) -> None:
        if (status, answer) == (200, OK):
            self.answered[callid] = self.answered.get(callid, 0) + 1
        else:
            assert json.loads(answer)["result"] != 0
            self.refused.append((status, answer))


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    size_bytes = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
    return int(lines[0].split()[1]), await reader.readexactly(size_bytes)


def check(gateway: Gateway, load: Load) -> None:
    """Everything answered is in the ledger exactly once and as sent, nothing else is, and the file is sound."""
    assert gateway.rows("PRAGMA integrity_check") == [("ok",)]
    assert gateway.rows("PRAGMA foreign_key_check") == []
    check_rows(gateway.rows, load)


def check_rows(rows: Callable[[str], list[tuple[Any, ...]]], load: Load) -> None:
    """The same, of what `rows` reads from any ledger."""
    stored = rows("SELECT callid, raw, duplicates FROM callbacks JOIN calls ON calls.id = callbacks.call_id")
    bodies = {callid: bytes(raw) for callid, raw, _ in stored}
    assert len(stored) == len(bodies), "a callback is stored twice"
    assert not load.answered.keys() - bodies.keys(), "answered, and not stored"
    assert all(raw == load.sent[callid] for callid, raw in bodies.items()), "stored, and not as sent"
    counts = rows("SELECT (SELECT count(*) FROM calls), (SELECT count(DISTINCT call_id) FROM callbacks)")
    assert counts == [(len(bodies), len(bodies))], "calls without callbacks"
    short = [callid for callid, _, repeats in stored if repeats + 1 < load.answered.get(callid, 0)]
    assert not short, "answered more often than counted"
    invalid = rows("SELECT count(*) FROM calls WHERE outcome != 'answered' OR revisions != 0 OR fee_minutes != 1")
    assert invalid == [(0,)], "a record that its callback does not give"
