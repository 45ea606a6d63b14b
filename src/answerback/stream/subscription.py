"""A pull subscription to one shard's consumer, with backpressure."""

import asyncio
import json
from collections.abc import Callable
from itertools import count

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from answerback.errors import LedgerUnavailable
from answerback.stream.connection import NatsConnection
from answerback.stream.stream_config import CONSUMER, Shard

BATCH_MESSAGES = 64
"""How many messages are requested at a time."""

_SIZE_BYTES = 4 * 1024 * 1024
_EXPIRES_S = 10.0
_HEARTBEAT_S = 1.0
_IDLE_TIMEOUT_S = 2.5 * _HEARTBEAT_S
_CONNECT_S = 60.0
_PAUSE_S = 0.25
_NANOSECONDS = 1_000_000_000
_HEARTBEAT, _EMPTY = "100", ("404", "408")
_COMPLETE = ("Batch Completed", "Message Size Exceeds MaxBytes")

log = structlog.get_logger("answerback.stream")


class PullSubscription:
    """Pass each message of a shard to `deliver`; request more while `has_room`. `on_idle` is called when there are none."""

    def __init__(
        self,
        connection: NatsConnection,
        shard: Shard,
        deliver: Callable[[Shard, Msg], None],
        has_room: asyncio.Event,
        on_idle: Callable[[Shard], None],
    ) -> None:
        self._connection = connection
        self._shard = shard
        self._deliver = deliver
        self._has_room = has_room
        self._on_idle = on_idle
        self._progress = asyncio.Event()
        self._inbox = ""
        self._outstanding = 0
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
        client = await self._connection.wait_ready(_CONNECT_S)
        inbox = client.new_inbox()
        request = _request(client.max_payload)
        ended = asyncio.create_task(self._connection.wait_closed())
        ended.add_done_callback(lambda _: self._progress.set())
        subscription = await client.subscribe(f"{inbox}.*", cb=self._receive)
        try:
            for number in count():
                await self._has_room.wait()
                if ended.done():
                    return
                self._inbox = f"{inbox}.{number}"
                await client.publish(self._subject, request, reply=self._inbox)
                await self._wait_for_batch(ended)
        finally:
            ended.cancel()
            if client.is_connected:
                await subscription.unsubscribe()

    async def _wait_for_batch(self, ended: "asyncio.Task[None]") -> None:
        """Return when the server has sent what was requested, or will not, or has been silent too long."""
        self._outstanding, self._pause_s = BATCH_MESSAGES, 0.0
        while self._outstanding > 0 and not ended.done():
            self._progress.clear()
            try:
                async with asyncio.timeout(_IDLE_TIMEOUT_S):
                    await self._progress.wait()
            except TimeoutError:
                return
        if self._pause_s:
            await asyncio.sleep(self._pause_s)

    async def _receive(self, message: Msg) -> None:
        headers = message.headers or {}
        status = headers.get("Status")
        if status is None:
            self._outstanding -= 1
            self._deliver(self._shard, message)
        elif status == _HEARTBEAT:
            self._on_idle(self._shard)
        elif message.subject == self._inbox:  # not of a request before
            self._outstanding = 0
            if status in _EMPTY:
                self._on_idle(self._shard)
            elif headers.get("Description") not in _COMPLETE:
                self._pause_s = _PAUSE_S  # nobody leads the shard, or its consumer was removed
        self._progress.set()


def _request(largest_message: int) -> bytes:
    request = {
        "batch": BATCH_MESSAGES,
        "max_bytes": max(_SIZE_BYTES, 2 * largest_message),
        "expires": round(_EXPIRES_S * _NANOSECONDS),
        "idle_heartbeat": round(_HEARTBEAT_S * _NANOSECONDS),
    }
    return json.dumps(request).encode()
