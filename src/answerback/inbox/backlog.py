"""What waits to be recorded: how much it is and since when, and the newest of it in memory."""

import time
from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from answerback.inbox.queries import StoredGeneration
from answerback.inbox.rows import Generation, InboxRow, StoredRow, Totals, totals_of

_TAIL_BYTES = 8 * 1024 * 1024
_DROPPED_ROWS = 1024
_SAMPLED_ROWS = 64
_SAMPLED_BYTES = 256 * 1024
_SAMPLED_US = 1_000_000


class InboxLag(msgspec.Struct, frozen=True):
    """What is not recorded yet: `oldest_us` is when the oldest of it was appended, None where nothing waits."""

    rows: int
    callbacks: int
    bytes: int
    oldest_us: int | None

    @property
    def age_s(self) -> float:
        """For how long the oldest has waited; 0 where nothing waits."""
        return 0.0 if self.oldest_us is None else max(0.0, time.time() - self.oldest_us / 1e6)


class RecorderFailure(msgspec.Struct, frozen=True):
    """Why nothing of that is recorded: the error that the recorder met last, and since when it meets one."""

    reason: str
    since_us: int


class GenerationBacklog:
    """What of one generation waits.

    The sums at a position are exact at both ends and for rows in memory; in between they are interpolated from samples.
    """

    def __init__(self, id: bytes, number: int, before: Totals, recorded: Totals, end: Totals) -> None:
        self.id, self.number = id, number
        self.recorded = recorded
        self.end = end
        self.tail = Tail(end.position)
        self._samples = [before, recorded, end]

    def add(self, row: StoredRow) -> None:
        """A row was appended."""
        self.tail.add(row)
        self.end = end = totals_of(row)
        last = self._samples[-1]
        if (
            end.position - last.position >= _SAMPLED_ROWS
            or end.bytes - last.bytes >= _SAMPLED_BYTES
            or end.appended_us - last.appended_us >= _SAMPLED_US
        ):
            self._samples.append(end)

    def record(self, position: int) -> None:
        """The rows up to `position` are recorded, and no others: a ledger may go back."""
        position = min(position, self.end.position)
        if position == self.recorded.position:
            return
        self.recorded = self._totals_at(position)
        self.tail.drop(position)
        passed = bisect_left(self._samples, position, key=lambda sample: sample.position)
        if passed >= _DROPPED_ROWS:
            del self._samples[: passed - 1]

    def oldest_us(self) -> int | None:
        """When the oldest row that waits was appended; None where none waits."""
        if self.recorded.position >= self.end.position:
            return None
        return self._totals_at(self.recorded.position + 1).appended_us

    def _totals_at(self, position: int) -> Totals:
        if position == self.end.position:
            return self.end
        if (row := self.tail.find(position)) is not None:
            return totals_of(row)
        index = bisect_left(self._samples, position, key=lambda sample: sample.position)
        left = self._samples[index - 1] if index else self._samples[0]
        right = self._samples[index] if index < len(self._samples) else self.end
        return _interpolate(left, right, position)


class Backlog:
    """What waits, of all generations; the event loop's alone."""

    def __init__(self, older: Sequence[StoredGeneration], present: Generation) -> None:
        none = Totals(0, 0, 0, 0)
        self._by_id = {
            each.generation.id: GenerationBacklog(
                each.generation.id, each.generation.number, each.before, each.recorded, each.end
            )
            for each in older
        }
        self.present = self._by_id[present.id] = GenerationBacklog(present.id, present.number, none, none, none)
        self.bytes = sum(each.end.bytes - each.recorded.bytes for each in self._by_id.values())

    def find(self, generation: bytes) -> GenerationBacklog | None:
        """The generation with that id."""
        return self._by_id.get(generation)

    def add(self, rows: Sequence[StoredRow], end: Totals) -> bool:
        """Rows of the present generation were appended, which comes to `end` now; whether that is news."""
        before = self.present.end
        for row in rows:
            self.present.add(row)
        self.present.end = end
        self.bytes += end.bytes - before.bytes
        return end.position > before.position

    def record(self, generation: GenerationBacklog, position: int) -> None:
        """The rows of a generation are recorded up to `position`."""
        self.bytes += generation.recorded.bytes
        generation.record(position)
        self.bytes -= generation.recorded.bytes

    def generations(self, deleted: dict[int, int]) -> list[Generation]:
        """Those that have rows, and the present one, oldest first."""
        for id_ in [id_ for id_, each in self._by_id.items() if each.number not in deleted]:
            del self._by_id[id_]
        return [
            Generation(each.id, each.number, each.end.position, deleted.get(each.number, 0))
            for each in self._by_id.values()
        ]

    def waiting(self) -> InboxLag:
        """How much waits, and since when."""
        each = self._by_id.values()
        oldest = [at_us for one in each if (at_us := one.oldest_us()) is not None]
        return InboxLag(
            rows=sum(one.end.position - one.recorded.position for one in each),
            callbacks=sum(one.end.callbacks - one.recorded.callbacks for one in each),
            bytes=self.bytes,
            oldest_us=min(oldest, default=None),
        )


class Tail:
    """The newest rows of a generation, without a hole, as far as they are not recorded and fit."""

    def __init__(self, position: int) -> None:
        """Begins after `position`."""
        self._rows: list[StoredRow] = []
        self._dropped = 0
        self._before = position
        self._bytes = 0

    def add(self, row: StoredRow) -> None:
        """Add the newest row; where others are missing before it, it is the first."""
        if row.position != self._before + len(self._rows) - self._dropped + 1:
            self._rows, self._dropped, self._bytes = [], 0, 0
            self._before = row.position - 1
        self._rows.append(row)
        self._bytes += len(row.payload)
        while self._bytes > _TAIL_BYTES and len(self._rows) - self._dropped > 1:
            self._drop_first()

    def drop(self, position: int) -> None:
        while self._before < position and self._dropped < len(self._rows):
            self._drop_first()

    def find(self, position: int) -> StoredRow | None:
        """The row at a position; None where it is not in memory."""
        index = position - self._before - 1
        return self._rows[self._dropped + index] if 0 <= index < len(self._rows) - self._dropped else None

    def read(self, after: int, max_callbacks: int, max_bytes: int) -> list[InboxRow] | None:
        """The rows after a position, within the bounds but for the first; None where it is not in memory."""
        if after < self._before:
            return None
        found: list[InboxRow] = []
        for index in range(self._dropped + after - self._before, len(self._rows)):
            row = self._rows[index]
            max_callbacks -= row.callbacks
            max_bytes -= len(row.payload)
            if found and (max_callbacks < 0 or max_bytes < 0):
                break
            found.append(InboxRow(row.position, row.payload))
        return found

    def _drop_first(self) -> None:
        self._bytes -= len(self._rows[self._dropped].payload)
        self._before += 1
        self._dropped += 1
        if self._dropped >= _DROPPED_ROWS:
            del self._rows[: self._dropped]
            self._dropped = 0


def _interpolate(left: Totals, right: Totals, position: int) -> Totals:
    if position <= left.position or right.position <= left.position:
        return left._replace(position=position)
    part = min(1.0, (position - left.position) / (right.position - left.position))
    return Totals(
        position,
        left.callbacks + int((right.callbacks - left.callbacks) * part),
        left.bytes + int((right.bytes - left.bytes) * part),
        left.appended_us + int((right.appended_us - left.appended_us) * part),
    )
