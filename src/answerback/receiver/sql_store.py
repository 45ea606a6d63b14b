"""What stores on SQL databases have in common: one table of callbacks, each of which is its own outbox entry.

A callback waits for the handlers while it has a `due_us`. Of each call only the oldest that waits has a time there; it is moved on to the end of
the lease while somebody has it. Those behind it are BLOCKED until it is done.
"""

import os
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

from answerback.domain.arguments import require_number
from answerback.domain.models import ParsedCallback, RawCallback, RejectedCallback
from answerback.errors import LedgerUnavailable
from answerback.receiver.store import MAX_CALLBACKS, EventBacklog, Handle

BLOCKED = 2**62

REJECT = """
    INSERT INTO answerback_rejected (channel, raw, result, reason, received_us)
    SELECT :channel, :raw, :result, :reason, :received_us WHERE (SELECT count(*) FROM answerback_rejected) < :max_rejected
"""
_ANY_DUE = "SELECT 1 FROM answerback_callbacks WHERE due_us <= :now LIMIT 1"
_CLAIM = """
    UPDATE answerback_callbacks SET due_us = :until, claim = :claim
    WHERE id IN (SELECT id FROM answerback_callbacks WHERE due_us <= :now ORDER BY due_us LIMIT :limit {locking})
"""
_CLAIMED = """
    SELECT id, channel, callid, raw, received_us, failures, delivered_us FROM answerback_callbacks
    WHERE due_us = :until AND claim = :claim ORDER BY id
"""
_EARLIER = """
    SELECT id, raw, received_us FROM answerback_callbacks
    WHERE channel = :channel AND callid = :callid AND delivered_us IS NOT NULL ORDER BY id LIMIT :limit
"""
_DONE = """
    UPDATE answerback_callbacks SET due_us = NULL, failures = 0, delivered_us = :now WHERE claim = :claim AND id IN ({ids})
"""
_RETRY = """
    UPDATE answerback_callbacks SET due_us = :due, failures = failures + 1 WHERE claim = :claim AND id = :id
"""
_MOVE = "UPDATE answerback_callbacks SET due_us = :due WHERE claim = :claim AND id IN ({ids})"
_CALLBACKS = """
    SELECT raw, received_us FROM answerback_callbacks WHERE channel = :channel AND callid = :callid ORDER BY id LIMIT :limit
"""
_BACKLOG = """
    SELECT count(*), min(CASE WHEN delivered_us IS NULL THEN received_us END) FROM answerback_callbacks
    WHERE due_us IS NOT NULL
"""
_PRUNE = """
    DELETE FROM answerback_callbacks WHERE id IN (
        SELECT id FROM answerback_callbacks AS old WHERE received_us < :before AND NOT EXISTS (
            SELECT 1 FROM answerback_callbacks AS kept WHERE kept.channel = old.channel AND kept.callid = old.callid
            AND (kept.due_us IS NOT NULL OR kept.received_us >= :before)
        ) ORDER BY received_us LIMIT :limit
    )
"""
_PRUNE_REJECTED = "DELETE FROM answerback_rejected WHERE received_us < :before"

_MAX_CLAIMED = 64
_SLICE_S = 0.02
"""Events are claimed one by one, but for handlers that are so fast: of these up to _MAX_CLAIMED, which makes a commit of many."""
_PRUNED_ROWS = 500
_TIDY_INTERVAL_S = 60.0
_DAY_S = 86_400
_EPOCH, _US = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

Values = Mapping[str, object]


class SQLCursor(Protocol):
    """What a statement has found or done."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchall(self) -> Sequence[Any]:
        """All rows."""


class SQLConnection(Protocol):
    """Runs statements whose parameters are written `:name`."""

    def execute(self, statement: str, values: Values, /) -> SQLCursor:
        """Run a statement."""


class ClaimedEvent(NamedTuple):
    """An event that was claimed: `claim` is the random number that says by whom, as long as nobody else has claimed it."""

    id: int
    claim: int
    callid: str
    callback: RawCallback
    failures: int
    was_delivered: bool


class _ProcessState:
    """What belongs to one process."""

    def __init__(self) -> None:
        self.running: set[tuple[int, int]] = set()
        self.renewer: threading.Thread | None = None
        self.closed = threading.Event()
        self.claimed_at_once = 1
        self.tidy_at_s = 0.0


class SQLStore(ABC):
    """Callbacks in two tables, `answerback_callbacks` and `answerback_rejected`; several processes may share them.

    What is delivered is deleted after `keep_days`, whole calls at a time; None keeps everything. Of rejected bodies the first
    `max_rejected` are kept. An event of a process that died is due again after `lease_s`.
    """

    _locking = ""
    """What a SELECT ends with so that it passes over rows which others are about to claim."""

    def __init__(self, *, keep_days: float | None, max_rejected: int, lease_s: float) -> None:
        if keep_days is not None:
            require_number("keep_days", keep_days)
        require_number("max_rejected", max_rejected, or_zero=True)
        require_number("lease_s", lease_s)
        self._keep_days = keep_days
        self._max_rejected = max_rejected
        self._lease_s = lease_s
        self._processes: dict[int, _ProcessState] = {}

    @abstractmethod
    def record(self, batch: Sequence[ParsedCallback | RejectedCallback]) -> None: ...

    @abstractmethod
    def _delivering(self) -> AbstractContextManager[SQLConnection]:
        """A connection for all but `record`. Raises LedgerUnavailable, also for what is run on it."""

    @abstractmethod
    def _lock(self, connection: SQLConnection) -> None:
        """Let nobody record, nor end an event, until this transaction has ended."""

    @abstractmethod
    def _release(self, connection: SQLConnection, now_us: int, ended: Sequence[int] = ()) -> None:
        """Of each call of which nothing but BLOCKED events waits, make the oldest due: of the calls of these callbacks, or of all."""

    def deliver(self, handle: Handle) -> bool:
        began_s, process = time.monotonic(), self._process()
        events = self._claim(process.claimed_at_once)
        if not events:
            self._tidy()
            return False
        results: list[float | None] = []
        try:
            for event in events:
                with self._renewed(process, event):
                    results.append(handle([*self._find_earlier(event), event.callback], event.failures))
                if time.monotonic() > began_s + _SLICE_S:
                    break
        finally:
            self._finish(events, results)
        is_fast = time.monotonic() < began_s + _SLICE_S
        process.claimed_at_once = min(2 * process.claimed_at_once, _MAX_CLAIMED) if is_fast else 1
        return True

    def callbacks(self, channel: str, callid: str) -> Sequence[RawCallback]:
        values = {"channel": channel, "callid": callid, "limit": MAX_CALLBACKS}
        with self._delivering() as connection:
            rows = connection.execute(_CALLBACKS, values).fetchall()
        return [_callback(channel, *row) for row in rows]

    def backlog(self) -> EventBacklog:
        with self._delivering() as connection:
            ((events, oldest_us),) = connection.execute(_BACKLOG, {}).fetchall()
        return EventBacklog(events, 0.0 if oldest_us is None else max(0.0, time.time() - oldest_us / 1e6))

    def close(self) -> None:
        """Let go of what this process has; the next use begins anew."""
        process = self._process()
        self._processes.pop(os.getpid(), None)
        process.closed.set()
        if process.renewer is not None:
            process.renewer.join()

    def _claim(self, limit: int) -> list[ClaimedEvent]:
        now_us, claim = seconds_to_us(time.time()), secrets.randbits(62)
        mine: Values = {"until": now_us + seconds_to_us(self._lease_s), "claim": claim}
        with self._delivering() as connection:
            if not connection.execute(_ANY_DUE, {"now": now_us}).fetchall():  # that locks nothing
                return []
        with self._delivering() as connection:
            connection.execute(_CLAIM.format(locking=self._locking), {**mine, "now": now_us, "limit": limit})
            claimed = connection.execute(_CLAIMED, mine).fetchall()
        return [
            ClaimedEvent(id_, claim, callid, _callback(channel, raw, received_us), failures, delivered_us is not None)
            for id_, channel, callid, raw, received_us, failures, delivered_us in claimed
        ]

    def _find_earlier(self, event: ClaimedEvent) -> list[RawCallback]:
        """The first of the call's callbacks that are done; with a repeat's own, by which it is known to be one."""
        channel = event.callback.channel
        values = {"channel": channel, "callid": event.callid, "limit": MAX_CALLBACKS}
        with self._delivering() as connection:
            rows = connection.execute(_EARLIER, values).fetchall()
        earlier = [_callback(channel, raw, received_us) for _, raw, received_us in rows]
        if event.was_delivered and all(id_ != event.id for id_, _, _ in rows):
            earlier.append(event.callback)
        return earlier

    def _finish(self, events: Sequence[ClaimedEvent], results: Sequence[float | None]) -> None:
        """Keep what became of the first events, and give back the others; but for those that somebody else has claimed meanwhile."""
        now_us, claim = seconds_to_us(time.time()), events[0].claim
        ended = list(zip(events, results, strict=False))
        done = [event.id for event, retry_s in ended if retry_s is None]
        with self._delivering() as connection:
            if done:
                self._lock(connection)
                connection.execute(_DONE.format(ids=comma_separated(done)), {"now": now_us, "claim": claim})
                self._release(connection, now_us, done)
            for event, retry_s in ended:
                if retry_s is not None:
                    due_us = now_us + seconds_to_us(retry_s)
                    connection.execute(_RETRY, {"due": due_us, "claim": claim, "id": event.id})
            if rest := [event.id for event in events[len(ended) :]]:
                connection.execute(_MOVE.format(ids=comma_separated(rest)), {"due": now_us, "claim": claim})

    @contextmanager
    def _renewed(self, process: _ProcessState, event: ClaimedEvent) -> Iterator[None]:
        """Move the end of the lease on while a handler runs."""
        running = (event.id, event.claim)
        process.running.add(running)
        if process.renewer is None:
            process.renewer = threading.Thread(
                target=self._renew, args=(process,), name="answerback-leases", daemon=True
            )
            process.renewer.start()
        try:
            yield
        finally:
            process.running.discard(running)

    def _renew(self, process: _ProcessState) -> None:
        while not process.closed.wait(self._lease_s / 3):
            for id_, claim in process.running.copy():
                now_us = seconds_to_us(time.time())
                values = {"due": now_us + seconds_to_us(self._lease_s), "claim": claim, "now": now_us}
                with suppress(LedgerUnavailable), self._delivering() as connection:  # else the next time, or it ends
                    connection.execute(f"{_MOVE.format(ids=id_)} AND due_us > :now", values)

    def _tidy(self) -> None:
        """Once a minute delete what is old, and let go what nothing holds up any more, such as what was given up by hand."""
        process = self._process()
        if time.monotonic() < process.tidy_at_s:
            return
        deleted = 0
        with self._delivering() as connection:
            self._lock(connection)
            self._release(connection, seconds_to_us(time.time()))
            if self._keep_days is not None:
                before: Values = {"before": seconds_to_us(time.time() - self._keep_days * _DAY_S)}
                deleted = connection.execute(_PRUNE, {**before, "limit": _PRUNED_ROWS}).rowcount
                connection.execute(_PRUNE_REJECTED, before)
        if deleted < _PRUNED_ROWS:
            process.tidy_at_s = time.monotonic() + _TIDY_INTERVAL_S

    def _process(self) -> _ProcessState:
        pid = os.getpid()
        return self._processes.get(pid) or self._processes.setdefault(pid, _ProcessState())


def rejected_row(rejected: RejectedCallback, max_rejected: int) -> Values:
    """The parameters of REJECT."""
    return {
        "channel": rejected.channel,
        "raw": rejected.raw,
        "result": rejected.result,
        "reason": rejected.reason,
        "received_us": to_us(rejected.received_at),
        "max_rejected": max_rejected,
    }


def to_us(when: datetime) -> int:
    """A time in microseconds since 1970."""
    return (when - _EPOCH) // _US


def seconds_to_us(seconds: float) -> int:
    """Seconds in microseconds."""
    return int(seconds * 1e6)


def comma_separated(ids: Iterable[int]) -> str:
    """Numbers as a list in SQL."""
    return ", ".join(map(str, ids))


def _callback(channel: str, raw: bytes | memoryview, received_us: int) -> RawCallback:
    return RawCallback(channel, bytes(raw), _EPOCH + received_us * _US)
