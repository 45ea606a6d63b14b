"""The alert manager of a gateway: evaluates every rule periodically, and notifies what fires and what is resolved."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
import structlog

from answerback.alerts.hysteresis import (
    AlertPhase,
    Measurement,
    advance,
    due_phase,
    keep_targets,
    mark_failed,
    mark_sent,
)
from answerback.alerts.messages import MessageContext, compose_message
from answerback.alerts.sources import AlertSource
from answerback.alerts.targets import Target
from answerback.domain.alert_rules import AlertRule, RecorderLagRule
from answerback.domain.models import AlertState
from answerback.errors import LedgerUnavailable
from answerback.i18n import Text
from answerback.ledger.admin.alerts import Alert

T = TypeVar("T")

_SHUTDOWN_TIMEOUT_S = 1.0

log = structlog.get_logger("answerback.alerts")


class AlertManager:
    """Evaluates rules from `start` to `stop`. `states` can be asked at any time."""

    def __init__(
        self,
        source: AlertSource,
        rules: Mapping[str, AlertRule],
        targets: Sequence[Target],
        *,
        message_context: MessageContext,
        evaluation_interval_s: float,
        beside: "AlertManager | None" = None,
    ) -> None:
        """`beside` it this process has another one, whose states are shown with its own."""
        self._source = source
        self._beside = beside
        self._set(rules, targets, message_context, evaluation_interval_s)
        self._loaded = False
        self._alerts: dict[str, Alert] = {}
        self._saved: dict[str, Alert] = {}
        self._is_stopping = self._is_evaluating = False
        self._reload: Callable[[], None] | None = None
        self._wake = asyncio.Event()
        """Set when there is something to do before the next evaluation is due."""
        self._task: asyncio.Task[None] | None = None

    def _set(
        self,
        rules: Mapping[str, AlertRule],
        targets: Sequence[Target],
        message_context: MessageContext,
        evaluation_interval_s: float,
    ) -> None:
        self._rules = dict(rules)
        self._targets = {target.name: target for target in targets}
        self._message_context = message_context
        self._every_s = evaluation_interval_s

    def reload(
        self,
        rules: Mapping[str, AlertRule],
        channels: Sequence[str],
        targets: Sequence[Target],
        *,
        message_context: MessageContext,
        evaluation_interval_s: float,
    ) -> None:
        """Evaluate other rules, after the evaluation that is under way. What fires goes on firing."""

        def change() -> None:
            self._source.reload(rules, channels)
            self._set(rules, targets, message_context, evaluation_interval_s)
            self._alerts, self._saved, self._loaded = {}, {}, False

        self._reload = change
        if not self._is_evaluating:
            self._apply_reload()
        self._wake.set()

    def _apply_reload(self) -> None:
        if self._reload is not None:
            self._reload()
            self._reload = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def run_forever(self) -> None:
        """Evaluate until cancelled, while no other gateway does; what those have saved is read first."""
        self._alerts, self._saved = {}, {}
        try:
            await self._run()
        finally:
            self._loaded = False

    async def stop(self) -> None:
        """End, after the evaluation that is under way if that is not long."""
        self._is_stopping = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_SHUTDOWN_TIMEOUT_S)
            self._task.cancel()

    def states(self) -> list[AlertState]:
        """Every rule as it stands, by name. Raises LedgerUnavailable where another gateway looks, so that it is read."""
        known = list(self._alerts.values()) if self._loaded or not self._rules else self._source.find()
        states = alert_states(self._rules, known) + ([] if self._beside is None else self._beside.states())
        return sorted(states, key=lambda state: state.rule)

    async def _run(self) -> None:
        while not self._is_stopping:
            self._wake.clear()
            self._is_evaluating = True
            try:
                await self._evaluate()
            except LedgerUnavailable as error:
                log.warning("alert_save_failed", reason=str(error), detail=error.detail)
            except Exception:  # an alarm that falls silent is worse than one that fails
                log.exception("alert_evaluation_failed")
            finally:
                self._is_evaluating = False
                self._apply_reload()
            has_nothing_to_do = self._loaded and not self._rules
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if has_nothing_to_do else self._every_s):
                    await self._wake.wait()

    async def _evaluate(self) -> None:
        """Measure every rule, send what is due, and save what changed. Raises LedgerUnavailable."""
        if not self._loaded:
            await self._load()
        now = datetime.now(UTC)
        for name, seen in (await self._measure(now)).items():
            before = self._alerts.get(name) or Alert(rule=name, metric=self._rules[name].metric, since=now)
            self._alerts[name] = after = advance(before, seen, now, self._rules[name])
            if after.firing != before.firing:
                log.warning("alert_firing" if after.firing else "alert_resolved", rule=name, measured=after.en)
        await asyncio.gather(*(self._notify(name, now) for name in self._alerts))
        await self._save(*self._alerts)

    async def _load(self) -> None:
        self._saved = {alert.rule: alert for alert in await self._source.load()}
        for name, alert in self._saved.items():
            as_now = msgspec.structs.replace(alert, metric=self._rules[name].metric, error=None)
            self._alerts[name] = keep_targets(as_now, self._targets)
        self._loaded = True

    async def _measure(self, now: datetime) -> dict[str, Measurement]:
        """What every rule measures; nothing where the ledger cannot be read: what is due is sent all the same."""
        try:
            return await self._source.measure(now)
        except LedgerUnavailable as error:
            log.warning("alert_measurement_failed", reason=str(error), detail=error.detail)
            return {}

    async def _notify(self, name: str, now: datetime) -> None:
        """Notify every target that an alert's phase is due to."""
        alert, repeat_interval_s = self._alerts[name], self._rules[name].repeat_interval_s
        due = {target: phase for target in self._targets if (phase := due_phase(alert, target, now, repeat_interval_s))}
        if not due:
            return
        errors = await asyncio.gather(*(self._notify_target(name, target, phase, now) for target, phase in due.items()))
        error = "; ".join(filter(None, errors)) or None
        if error and error != alert.error:
            log.error("alert_send_failed", rule=name, reason=error)
        self._alerts[name] = msgspec.structs.replace(self._alerts[name], error=error)

    async def _notify_target(self, name: str, target: str, phase: AlertPhase, now: datetime) -> str | None:
        """Notify one target, and save that at once, so that a kill does not send it twice; returns what went wrong."""
        message = compose_message(phase, self._alerts[name], self._rules[name].channel, self._message_context)
        error = await self._targets[target].send(message)
        if error is not None:
            self._alerts[name] = mark_failed(self._alerts[name], target)
            return f"{target} {error}"
        self._alerts[name] = mark_sent(self._alerts[name], target, now)
        log.info("alert_sent", rule=name, phase=phase.value, target=target)
        with contextlib.suppress(LedgerUnavailable):  # the end of the evaluation tries again, and logs it
            await self._save(name)
        return None

    async def _save(self, *names: str) -> None:
        """Write what is not as it was written last. Raises LedgerUnavailable."""
        changed = [alert for name in names if (alert := self._alerts[name]) != self._saved.get(name)]
        if changed:
            await self._source.save(changed)
            self._saved |= {alert.rule: alert for alert in changed}


_NOT_YET = Text("not measured yet", "尚未测量")
_OF_A_PROCESS = Text(
    "evaluated by each process itself, which shows it in /v1/alerts", "由各进程自行评估，见其 /v1/alerts"
)


def alert_states(rules: Mapping[str, AlertRule], known: Iterable[Alert]) -> list[AlertState]:
    """Every rule as it stands, by name, also those of which nothing is known yet."""
    alerts = {alert.rule: alert for alert in known}
    return [_alert_state(name, rule, alerts.get(name)) for name, rule in sorted(rules.items())]


def _alert_state(name: str, rule: AlertRule, alert: Alert | None) -> AlertState:
    if alert is None:
        unknown = _OF_A_PROCESS if isinstance(rule, RecorderLagRule) else _NOT_YET
        return AlertState(rule=name, metric=rule.metric, en=unknown.en, zh=unknown.zh)
    return AlertState(**{field: getattr(alert, field) for field in AlertState.__struct_fields__})
