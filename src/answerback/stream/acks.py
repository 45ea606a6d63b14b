"""Acknowledge messages: ack, in progress, nak.

If that fails the servers redeliver, which does no harm.
"""

import contextlib
import json

from answerback.stream.connection import ConnectionLost, NatsConnection

_NANOSECONDS = 1_000_000_000


class AckSender:
    """Sends acknowledgements over whatever connection there is."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection

    async def ack(self, reply: str) -> None:
        """The batch is in the ledger: delete it from the stream."""
        await self._send(reply, b"")

    async def in_progress(self, reply: str) -> None:
        """Still working on it: do not redeliver."""
        await self._send(reply, b"+WPI")

    async def nak(self, reply: str, delay_s: float = 0.0) -> None:
        """Redeliver it to anybody, at once or after `delay_s`."""
        delay = json.dumps({"delay": round(delay_s * _NANOSECONDS)}) if delay_s else ""
        await self._send(reply, f"-NAK {delay}".strip().encode())

    async def _send(self, reply: str, payload: bytes) -> None:
        with contextlib.suppress(ConnectionLost):
            await self._connection.send(reply, payload)
