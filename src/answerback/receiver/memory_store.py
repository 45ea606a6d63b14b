"""A store in memory, for tests: it forgets everything with the process."""

import threading
import time
from collections.abc import Sequence
from itertools import chain

from answerback.domain.models import ParsedCallback, RawCallback, RejectedCallback
from answerback.receiver.store import MAX_CALLBACKS, EventBacklog, Handle


class _MemoryRow:
    """A callback; `due_s` is None once the handlers have had it."""

    def __init__(self, received: ParsedCallback) -> None:
        self.fingerprint = received.fingerprint
        self.callback = RawCallback(received.channel, received.raw, received.received_at)
        self.due_s: float | None = time.time()
        self.failures = 0
        self.is_delivered = self.is_leased = False


class MemoryStore:
    """Calls in a dict, each with its callbacks in the order of their arrival."""

    def __init__(self) -> None:
        self.rejected: list[RejectedCallback] = []
        self._calls: dict[tuple[str, str], list[_MemoryRow]] = {}
        self._lock = threading.Lock()

    def record(self, batch: Sequence[ParsedCallback | RejectedCallback]) -> None:
        with self._lock:
            for received in batch:
                if isinstance(received, RejectedCallback):
                    self.rejected.append(received)
                    continue
                rows = self._calls.setdefault((received.channel, received.callback.callid), [])
                known = next((row for row in rows if row.fingerprint == received.fingerprint), None)
                if known is None:
                    rows.append(_MemoryRow(received))
                elif known.due_s is None:
                    known.due_s = time.time()

    def deliver(self, handle: Handle) -> bool:
        with self._lock:
            found = next(filter(None, map(_due, self._calls.values())), None)
            if found is None:
                return False
            row, callbacks, failures = found
            row.is_leased = True
        try:
            retry_s = handle(callbacks, failures)
        finally:
            with self._lock:
                row.is_leased = False
        with self._lock:
            if retry_s is None:
                row.due_s, row.failures, row.is_delivered = None, 0, True
            else:
                row.due_s, row.failures = time.time() + retry_s, row.failures + 1
        return True

    def callbacks(self, channel: str, callid: str) -> Sequence[RawCallback]:
        with self._lock:
            return [row.callback for row in self._calls.get((channel, callid), [])[:MAX_CALLBACKS]]

    def backlog(self) -> EventBacklog:
        with self._lock:
            waiting = [row for row in chain.from_iterable(self._calls.values()) if row.due_s is not None]
        oldest_s = min((row.callback.received_at.timestamp() for row in waiting if not row.is_delivered), default=None)
        return EventBacklog(len(waiting), 0.0 if oldest_s is None else max(0.0, time.time() - oldest_s))


def _due(rows: list[_MemoryRow]) -> tuple[_MemoryRow, list[RawCallback], int] | None:
    """The event of a call that may be taken: the oldest that is not done, where it is due and nobody has one of the call."""
    row = next((row for row in rows if row.due_s is not None), None)
    if row is None or (row.due_s or 0) > time.time() or any(one.is_leased for one in rows):
        return None
    done = [one for one in rows if one.is_delivered]
    earlier = [one.callback for number, one in enumerate(done) if number < MAX_CALLBACKS or one is row]
    return row, [*earlier, row.callback], row.failures
