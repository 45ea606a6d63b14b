"""Calls of several callbacks each, told in order as the cloud does: the next one when the one before was answered."""

import asyncio
import contextlib
import itertools
import uuid
from collections import defaultdict

from crash.load import ENDS, read_answer
from gateway import OK, Gateway, key_press, prompt, request

STEPS = 4


def steps_of(callid: str) -> list[bytes]:
    """The callbacks of a call, in order."""
    return [*[key_press(callid, str(number)) for number in range(STEPS - 1)], prompt(callid)]


class Calls:
    """Tells of new calls on several connections until it is stopped or nobody listens any more.

    `answered` says how many callbacks of each call were answered with result 0. A call that a crash has interrupted
    is gone on with in the next run, with the callback that was not answered.
    """

    def __init__(self, connections: int = 8) -> None:
        self.answered: defaultdict[str, int] = defaultdict(int)
        self._connections = connections
        self._interrupted: list[str] = []
        self._stopped = False

    async def run(self, gateway: Gateway) -> None:
        """Tell `gateway`; returns when every connection has ended."""
        self._stopped = False
        host, port = gateway.address
        async with asyncio.TaskGroup() as group:
            for _ in range(self._connections):
                group.create_task(self._tell(host, port))

    def stop(self) -> None:
        """Let each connection end after its call."""
        self._stopped = True

    async def _tell(self, host: str, port: int) -> None:
        with contextlib.suppress(*ENDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                while not self._stopped:
                    await self._tell_of_one(reader, writer)
            finally:
                writer.close()
                with contextlib.suppress(*ENDS):
                    await writer.wait_closed()

    async def _tell_of_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callid = self._interrupted.pop() if self._interrupted else str(uuid.uuid4())
        try:
            for body in itertools.islice(steps_of(callid), self.answered[callid], None):
                writer.write(request(body))
                assert await read_answer(reader) == (200, OK)
                self.answered[callid] += 1
                await asyncio.sleep(0.005)  # a few hundred a second: the receivers are to keep up
        except ENDS:
            self._interrupted.append(callid)
            raise
