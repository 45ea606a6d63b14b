"""What the servers are told of a message that they have delivered.

Where that fails they deliver it again, which does no harm.
"""

import contextlib
import json

from answerback.stream.connection import Broken, Connection

_NANOSECONDS = 1_000_000_000


class Replies:
    """Sends them over whatever connection there is."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def acknowledge(self, reply: str) -> None:
        """It is in the ledger: it may go."""
        await self._send(reply, b"")

    async def keep(self, reply: str) -> None:
        """It is being worked on: nobody else is to have it."""
        await self._send(reply, b"+WPI")

    async def give_back(self, reply: str, delay_s: float = 0.0) -> None:
        """Somebody else may have it, at once or in a while."""
        delay = json.dumps({"delay": round(delay_s * _NANOSECONDS)}) if delay_s else ""
        await self._send(reply, f"-NAK {delay}".strip().encode())

    async def _send(self, reply: str, payload: bytes) -> None:
        with contextlib.suppress(Broken):
            await self._connection.send(reply, payload)
