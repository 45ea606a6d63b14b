"""For how long each kind of data is kept, and what is too old at a moment; pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec


class RetentionPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """For how many days each is kept; None: for ever."""

    calls_days: float | None = None
    callbacks_days: float | None = None
    deliveries_days: float | None = None
    attempts_days: float | None = None
    quarantine_days: float | None = None
    audit_days: float | None = None

    @property
    def is_empty(self) -> bool:
        return self == RetentionPolicy()

    def cutoffs(self, now: datetime) -> "Cutoffs":
        """What is too old at `now`. What belongs to something goes with it at the latest."""
        calls = _before(now, self.calls_days)
        callbacks = _later(calls, _before(now, self.callbacks_days))
        deliveries = _later(callbacks, _before(now, self.deliveries_days))
        return Cutoffs(
            calls=calls,
            callbacks=callbacks,
            deliveries=deliveries,
            attempts=_later(deliveries, _before(now, self.attempts_days)),
            quarantine=_before(now, self.quarantine_days),
            audit_events=_before(now, self.audit_days),
        )


class Cutoffs(msgspec.Struct, frozen=True, kw_only=True):
    """The time before which each table's rows go; None: all of them stay."""

    calls: datetime | None
    callbacks: datetime | None
    deliveries: datetime | None
    attempts: datetime | None
    quarantine: datetime | None
    audit_events: datetime | None


def deleted_words(deleted: Mapping[str, int]) -> tuple[str | int, ...]:
    """How many rows of each table were deleted, for the audit log."""
    return tuple(part for table, rows in deleted.items() if rows for part in (rows, table))


def _before(now: datetime, days: float | None) -> datetime | None:
    return None if days is None else now - timedelta(days=days)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(filter(None, (one, other)), default=None)
