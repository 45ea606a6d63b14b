"""Calls of several callbacks each, sent in order as the cloud does: the next one when the one before was answered."""

import asyncio
import itertools
import uuid
from collections import defaultdict

from crash.load import ENDS, Connections, read_answer
from gateway import OK, key_press, prompt, request

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
        self._interrupted: list[str] = []
        senders = Connections(connections, self._report_one)
        self.run, self.stop = senders.run, senders.stop

    async def _report_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
