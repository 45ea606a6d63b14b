"""Messages in flight between the stream and the ledger: each once, bounded in number and bytes."""

import asyncio
import time

import msgspec

from answerback.domain.batches import CallbackBatch

MAX_CALLBACKS = 2048
"""Callbacks in one transaction, unless one batch alone has more."""

_MAX_BYTES = 32 * 1024 * 1024

Key = tuple[str, int]
"""A stream, and a message's number in it."""


class InFlightMessage(msgspec.Struct):
    """A message that is not acknowledged yet: its batch, and where the acknowledgement goes."""

    key: Key
    batch: CallbackBatch
    size_bytes: int
    reply: str
    extended_s: float


class InFlightBuffer:
    """Messages that wait to be written, and those that are being written."""

    def __init__(self, max_messages: int) -> None:
        self._max_messages = max_messages
        self._pending: dict[Key, InFlightMessage] = {}
        self._writing: dict[Key, InFlightMessage] = {}
        self._size_bytes = 0
        self.has_room = asyncio.Event()
        self.has_room.set()

    def __len__(self) -> int:
        return len(self._pending) + len(self._writing)

    @property
    def has_pending(self) -> bool:
        """Whether there is something to write."""
        return bool(self._pending)

    @property
    def is_writing(self) -> bool:
        """Whether something is being written."""
        return bool(self._writing)

    def is_redelivery(self, key: Key, reply: str) -> bool:
        """Whether the message is in flight already; its acknowledgement then goes to the newest delivery."""
        message = self._pending.get(key) or self._writing.get(key)
        if message is not None:
            message.reply = reply
        return message is not None

    def add(self, key: Key, batch: CallbackBatch, size_bytes: int, reply: str) -> None:
        """Add a message."""
        self._pending[key] = InFlightMessage(key, batch, size_bytes, reply, time.monotonic())
        self._count(size_bytes)

    def start_writing(self) -> list[InFlightMessage]:
        """Take what goes into the next transaction, oldest first."""
        taken: list[InFlightMessage] = []
        callbacks = 0
        for message in sorted(self._pending.values(), key=lambda message: message.batch.appended_us):
            callbacks += len(message.batch.items)
            if taken and callbacks > MAX_CALLBACKS:
                break
            taken.append(self._pending.pop(message.key))
        self._writing = {message.key: message for message in taken}
        return taken

    def release(self, message: InFlightMessage) -> None:
        """Drop a message that was being written."""
        self._writing.pop(message.key, None)
        self._count(-message.size_bytes)

    def release_pending(self) -> list[InFlightMessage]:
        """Drop and return the messages that wait."""
        released, self._pending = [*self._pending.values()], {}
        self._count(-sum(message.size_bytes for message in released))
        return released

    def not_extended(self, for_s: float) -> list[InFlightMessage]:
        """The messages whose ack wait was not extended for so long."""
        now_s = time.monotonic()
        return [
            message
            for message in (*self._writing.values(), *self._pending.values())
            if now_s - message.extended_s > for_s
        ]

    def _count(self, size_bytes: int) -> None:
        self._size_bytes += size_bytes
        if self._size_bytes < _MAX_BYTES and len(self) < self._max_messages:
            self.has_room.set()
        else:
            self.has_room.clear()
