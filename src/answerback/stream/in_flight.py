"""What a recorder has in its hands: each message once, and no more than there is room for."""

import asyncio
import time

import msgspec

from answerback.ledger.write.consumed_batches import Batch

MOST_CALLBACKS = 2048
"""Callbacks in one transaction, unless one batch alone has more."""

_MOST_BYTES = 32 * 1024 * 1024

Key = tuple[str, int]
"""A stream, and a message's number in it."""


class Held(msgspec.Struct):
    """A message in our hands: the batch, and where its acknowledgement goes."""

    key: Key
    batch: Batch
    size_bytes: int
    reply: str
    touched_s: float


class Hold:
    """Messages that wait to be written, and those that are being written."""

    def __init__(self, most_messages: int) -> None:
        self._most_messages = most_messages
        self._waiting: dict[Key, Held] = {}
        self._writing: dict[Key, Held] = {}
        self._size_bytes = 0
        self.has_room = asyncio.Event()
        self.has_room.set()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._writing)

    @property
    def waits(self) -> bool:
        """Whether there is something to write."""
        return bool(self._waiting)

    @property
    def writes(self) -> bool:
        """Whether something is being written."""
        return bool(self._writing)

    def knows(self, key: Key, reply: str) -> bool:
        """Whether the message is held already; its acknowledgement goes to where it was delivered last."""
        held = self._waiting.get(key) or self._writing.get(key)
        if held is not None:
            held.reply = reply
        return held is not None

    def add(self, key: Key, batch: Batch, size_bytes: int, reply: str) -> None:
        """Hold a message."""
        self._waiting[key] = Held(key, batch, size_bytes, reply, time.monotonic())
        self._count(size_bytes)

    def take(self) -> list[Held]:
        """What goes into the next transaction, oldest first."""
        taken: list[Held] = []
        callbacks = 0
        for held in sorted(self._waiting.values(), key=lambda held: held.batch.published_us):
            callbacks += len(held.batch.items)
            if taken and callbacks > MOST_CALLBACKS:
                break
            taken.append(self._waiting.pop(held.key))
        self._writing = {held.key: held for held in taken}
        return taken

    def let_go(self, held: Held) -> None:
        """Hold one that was being written no longer."""
        self._writing.pop(held.key, None)
        self._count(-held.size_bytes)

    def let_all_go(self) -> list[Held]:
        """Hold those that wait no longer; which they were."""
        given, self._waiting = [*self._waiting.values()], {}
        self._count(-sum(held.size_bytes for held in given))
        return given

    def untouched(self, for_s: float) -> list[Held]:
        """Those of which the servers have not heard for so long."""
        now_s = time.monotonic()
        return [held for held in (*self._writing.values(), *self._waiting.values()) if now_s - held.touched_s > for_s]

    def _count(self, size_bytes: int) -> None:
        self._size_bytes += size_bytes
        if self._size_bytes < _MOST_BYTES and len(self) < self._most_messages:
            self.has_room.set()
        else:
            self.has_room.clear()
