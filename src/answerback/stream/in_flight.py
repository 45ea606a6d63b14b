"""Messages in flight between the stream and the ledger: each once, bounded in number and bytes."""

import asyncio
import time

import msgspec

from answerback.domain.batches import CallbackBatch

_MAX_BYTES = 32 * 1024 * 1024

Key = tuple[str, int]
"""A stream, and a message's number in it."""


class InFlightMessage(msgspec.Struct):
    """A message that is not acknowledged yet: its batch, and where the acknowledgement goes."""

    key: Key
    payload: bytes
    callbacks: int
    appended_us: int
    reply: str
    extended_s: float


class InFlightBuffer:
    """Messages that were pulled and are not recorded yet."""

    def __init__(self, max_messages: int) -> None:
        self._max_messages = max_messages
        self._messages: dict[Key, InFlightMessage] = {}
        self._size_bytes = 0
        self.has_room = asyncio.Event()
        self.has_room.set()

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def messages(self) -> list[InFlightMessage]:
        return [*self._messages.values()]

    @property
    def oldest_us(self) -> int | None:
        """When the oldest of them was appended; None where there is none."""
        return min((message.appended_us for message in self._messages.values()), default=None)

    def is_redelivery(self, key: Key, reply: str) -> bool:
        """Whether the message is in flight already; its acknowledgement then goes to the newest delivery."""
        message = self._messages.get(key)
        if message is not None:
            message.reply = reply
        return message is not None

    def add(self, key: Key, payload: bytes, batch: CallbackBatch, reply: str) -> None:
        self._messages[key] = InFlightMessage(
            key, payload, len(batch.items), batch.appended_us, reply, time.monotonic()
        )
        self._count(len(payload))

    def oldest(self, max_callbacks: int, max_bytes: int) -> list[InFlightMessage]:
        """The oldest, within the bounds but for the first."""
        found: list[InFlightMessage] = []
        for message in sorted(self._messages.values(), key=lambda message: message.appended_us):
            max_callbacks -= message.callbacks
            max_bytes -= len(message.payload)
            if found and (max_callbacks < 0 or max_bytes < 0):
                break
            found.append(message)
        return found

    def release(self, message: InFlightMessage) -> None:
        del self._messages[message.key]
        self._count(-len(message.payload))

    def not_extended(self, for_s: float) -> list[InFlightMessage]:
        """The messages whose ack wait was not extended for so long."""
        now_s = time.monotonic()
        return [message for message in self._messages.values() if now_s - message.extended_s > for_s]

    def _count(self, size_bytes: int) -> None:
        self._size_bytes += size_bytes
        if self._size_bytes < _MAX_BYTES and len(self) < self._max_messages:
            self.has_room.set()
        else:
            self.has_room.clear()
