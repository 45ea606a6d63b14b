"""What alerts are measured from, and where their state is kept: the ledger, or, when that is behind, this process."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy.engine import Connection

from answerback.alerts.hysteresis import Measurement
from answerback.alerts.measurement import MeasureContext, measure, measure_recorder_lag
from answerback.domain.alert_rules import AlertRule, RecorderLagRule
from answerback.ledger.admin.alerts import Alert, find_alerts
from answerback.ledger.admin.instances import recorded_as_of
from answerback.ledger.client import LedgerClient, LedgerReader
from answerback.ledger.commands import SaveAlerts


class AlertSource(Protocol):
    """Each method but `find` is called in the event loop. All raise LedgerUnavailable."""

    async def load(self) -> list[Alert]:
        """What was saved, without the alerts of rules that are gone."""

    async def save(self, changed: Sequence[Alert]) -> None:
        """Keep what has changed."""

    async def measure(self, now: datetime) -> dict[str, Measurement]:
        """What every rule measures, by name."""

    def find(self) -> list[Alert]:
        """What another process has saved."""

    def reload(self, rules: Mapping[str, AlertRule], channels: Sequence[str]) -> None:
        """Measure other rules from now on."""


class LedgerSource:
    """The rules about calls and deliveries: one process of those on a ledger evaluates them, and the next one goes on."""

    def __init__(
        self,
        client: LedgerClient,
        ledger: LedgerReader,
        rules: Mapping[str, AlertRule],
        channels: Sequence[str],
        recorded_us: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`recorded_us`: up to when all callbacks are recorded; None: up to now. Rules are measured as of then."""
        self._client = client
        self._ledger = ledger
        self._rules = rules
        self._channels = channels
        self._recorded_us = recorded_us

    async def load(self) -> list[Alert]:
        found = await asyncio.to_thread(self.find)
        if any(alert.rule not in self._rules for alert in found):
            await self.save(())
        return [alert for alert in found if alert.rule in self._rules]

    async def save(self, changed: Sequence[Alert]) -> None:
        await self._client.execute(SaveAlerts(list(changed), sorted(self._rules)))

    async def measure(self, now: datetime) -> dict[str, Measurement]:
        recorded_us = self._recorded_us()

        def work(connection: Connection) -> dict[str, Measurement]:
            look = MeasureContext(connection, self._channels, recorded_as_of(connection, now, recorded_us))
            return {name: measure(rule, look) for name, rule in self._rules.items()}

        return await asyncio.to_thread(self._ledger.read, work)

    def find(self) -> list[Alert]:
        return self._ledger.read(find_alerts)

    def reload(self, rules: Mapping[str, AlertRule], channels: Sequence[str]) -> None:
        self._rules, self._channels = rules, channels


class RecorderSource:
    """The rules about the recorder: they have to fire while the ledger is away, so each process that records has its own."""

    def __init__(
        self,
        rules: Mapping[str, AlertRule],
        lag_s: Callable[[], float | None],
        failure: Callable[[], str | None],
    ) -> None:
        """`lag_s`: for how long the oldest callback has waited; None in a process that does not record."""
        self._set(rules)
        self._lag_s = lag_s
        self._failure = failure
        self._saved: dict[str, Alert] = {}

    async def load(self) -> list[Alert]:
        return [alert for name, alert in self._saved.items() if name in self._rules]

    async def save(self, changed: Sequence[Alert]) -> None:
        """Not beyond this process's end: the ledger could not be asked for it when it is needed."""
        self._saved |= {alert.rule: alert for alert in changed}

    async def measure(self, now: datetime) -> dict[str, Measurement]:  # noqa: ARG002  # the lag is as of now
        lag_s, failure = self._lag_s(), self._failure()
        return (
            {}
            if lag_s is None
            else {name: measure_recorder_lag(rule, lag_s, failure) for name, rule in self._rules.items()}
        )

    def find(self) -> list[Alert]:
        return []

    def reload(self, rules: Mapping[str, AlertRule], channels: Sequence[str]) -> None:  # noqa: ARG002  # whatever the channel
        self._set(rules)

    def _set(self, rules: Mapping[str, AlertRule]) -> None:
        self._rules = {name: rule for name, rule in rules.items() if isinstance(rule, RecorderLagRule)}
