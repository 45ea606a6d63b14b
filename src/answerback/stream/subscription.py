"""One shard's messages, asked for as long as there is room for them."""

import asyncio
import json
from collections.abc import Callable
from itertools import count

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from answerback.errors import LedgerUnavailable
from answerback.stream.connection import Connection
from answerback.stream.stream_config import CONSUMER, Shard

MESSAGES = 64
"""How many messages are asked for at a time."""

_SIZE_BYTES = 4 * 1024 * 1024
_EXPIRES_S = 10.0
_HEARTBEAT_S = 1.0
_SILENCE_S = 2.5 * _HEARTBEAT_S
_CONNECT_S = 60.0
_PAUSE_S = 0.25
_NANOSECONDS = 1_000_000_000
_HEARTBEAT, _EMPTY = "100", ("404", "408")
_COMPLETE = ("Batch Completed", "Message Size Exceeds MaxBytes")

log = structlog.get_logger("answerback.stream")


class Pull:
    """Hands each message of a shard to `take`; asks for more while `has_room`. `idle` is called when there are none."""

    def __init__(
        self,
        connection: Connection,
        shard: Shard,
        take: Callable[[Shard, Msg], None],
        has_room: asyncio.Event,
        idle: Callable[[Shard], None],
    ) -> None:
        self._connection = connection
        self._shard = shard
        self._take = take
        self._has_room = has_room
        self._idle = idle
        self._news = asyncio.Event()
        self._inbox = ""
        self._missing = 0
        self._pause_s = 0.0
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{shard.stream}.{CONSUMER}"

    async def run(self) -> None:
        """Pull for ever: over the next connection when one breaks, from the next leader when one is gone."""
        while True:
            try:
                await self._run_connected()
            except (LedgerUnavailable, NatsError, OSError) as error:
                log.debug("pull_interrupted", stream=self._shard.stream, reason=str(error))
                await asyncio.sleep(_PAUSE_S)

    async def _run_connected(self) -> None:
        """Pull over the present connection, to its end."""
        client = await self._connection.ready(_CONNECT_S)
        inbox = client.new_inbox()
        request = _request(client.max_payload)
        ended = asyncio.create_task(self._connection.broken())
        ended.add_done_callback(lambda _: self._news.set())
        subscription = await client.subscribe(f"{inbox}.*", cb=self._heard)
        try:
            for number in count():
                await self._has_room.wait()
                if ended.done():
                    return
                self._inbox = f"{inbox}.{number}"
                await client.publish(self._subject, request, reply=self._inbox)
                await self._answered(ended)
        finally:
            ended.cancel()
            if client.is_connected:
                await subscription.unsubscribe()

    async def _answered(self, ended: "asyncio.Task[None]") -> None:
        """Return when the server has sent what was asked for, or will not, or has been silent too long."""
        self._missing, self._pause_s = MESSAGES, 0.0
        while self._missing > 0 and not ended.done():
            self._news.clear()
            try:
                async with asyncio.timeout(_SILENCE_S):
                    await self._news.wait()
            except TimeoutError:
                return
        if self._pause_s:
            await asyncio.sleep(self._pause_s)

    async def _heard(self, message: Msg) -> None:
        headers = message.headers or {}
        status = headers.get("Status")
        if status is None:
            self._missing -= 1
            self._take(self._shard, message)
        elif status == _HEARTBEAT:
            self._idle(self._shard)
        elif message.subject == self._inbox:  # not of a request before
            self._missing = 0
            if status in _EMPTY:
                self._idle(self._shard)
            elif headers.get("Description") not in _COMPLETE:
                self._pause_s = _PAUSE_S  # nobody leads the shard, or its consumer was removed
        self._news.set()


def _request(largest_message: int) -> bytes:
    question = {
        "batch": MESSAGES,
        "max_bytes": max(_SIZE_BYTES, 2 * largest_message),
        "expires": round(_EXPIRES_S * _NANOSECONDS),
        "idle_heartbeat": round(_HEARTBEAT_S * _NANOSECONDS),
    }
    return json.dumps(question).encode()
