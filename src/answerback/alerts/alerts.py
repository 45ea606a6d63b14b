"""The alerts of one gateway: looks at every rule again and again, and tells people what begins and ends."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
import structlog
from sqlalchemy.engine import Connection

from answerback.alerts.hysteresis import Measured, News, among, heard, missed, news_for, step
from answerback.alerts.measurement import Look, measure
from answerback.alerts.messages import Letterhead, compose
from answerback.alerts.targets import Target
from answerback.domain.alert_rules import Rule
from answerback.domain.models import AlertState
from answerback.errors import LedgerUnavailable
from answerback.ledger.admin.alerts import Alert, find_alerts
from answerback.ledger.client import LedgerClient, LedgerReader
from answerback.ledger.commands import KeepAlerts

T = TypeVar("T")

_DRAIN_S = 1.0

log = structlog.get_logger("answerback.alerts")


class Alerts:
    """Looks from `start` to `stop`; only one gateway of a ledger may. `states` can be asked at any time."""

    def __init__(
        self,
        book: LedgerClient,
        ledger: LedgerReader,
        rules: Mapping[str, Rule],
        targets: Sequence[Target],
        *,
        channels: Sequence[str],
        letterhead: Letterhead,
        every_s: float,
    ) -> None:
        self._book = book
        self._ledger = ledger
        self._rules = dict(rules)
        self._targets = {target.name: target for target in targets}
        self._channels = channels
        self._letterhead = letterhead
        self._every_s = every_s
        self._loaded = False
        self._alerts: dict[str, Alert] = {}
        self._kept: dict[str, Alert] = {}
        self._ending = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._looking = asyncio.get_running_loop().create_task(self._run())

    async def watch(self) -> None:
        """Look until cancelled, as long as no other gateway does; what those have kept is read first."""
        self._alerts, self._kept = {}, {}
        try:
            await self._run()
        finally:
            self._loaded = False

    async def stop(self) -> None:
        """End, after the look that is under way if that is not long."""
        self._ending.set()
        if self._looking is not None:
            await asyncio.wait([self._looking], timeout=_DRAIN_S)
            self._looking.cancel()

    def states(self) -> list[AlertState]:
        """Every rule as it stands, by name. Raises LedgerUnavailable where another gateway looks, so that it is read."""
        known = list(self._alerts.values()) if self._loaded or not self._rules else self._ledger.read(find_alerts)
        return states_of(self._rules, known)

    async def _run(self) -> None:
        while not self._ending.is_set():
            try:
                await self._look()
            except LedgerUnavailable as error:
                log.warning("alerts_not_kept", reason=str(error), detail=error.detail)
            except Exception:  # an alarm that falls silent is worse than one that fails
                log.exception("alerts_failed")
            if self._loaded and not self._rules:
                return
            try:
                async with asyncio.timeout(self._every_s):
                    await self._ending.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        """Measure every rule, tell what is to be told, and keep what changed. Raises LedgerUnavailable."""
        if not self._loaded:
            await self._load()
        now = datetime.now(UTC)
        for name, seen in (await self._measure(now)).items():
            before = self._alerts.get(name) or Alert(rule=name, when=self._rules[name].when, since=now)
            self._alerts[name] = after = step(before, seen, now, self._rules[name])
            if after.firing != before.firing:
                log.warning("alert_began" if after.firing else "alert_ended", rule=name, measured=after.en)
        await asyncio.gather(*(self._tell(name, now) for name in self._alerts))
        await self._keep(*self._alerts)

    async def _load(self) -> None:
        """Read what is known from before, and forget the rules that there are no more."""
        found = {alert.rule: alert for alert in await asyncio.to_thread(self._ledger.read, find_alerts)}
        if found.keys() - self._rules.keys():
            await self._book.ask(KeepAlerts([], sorted(self._rules)))
        self._kept = {name: alert for name, alert in found.items() if name in self._rules}
        for name, alert in self._kept.items():
            as_now = msgspec.structs.replace(alert, when=self._rules[name].when, error=None)
            self._alerts[name] = among(as_now, self._targets)
        self._loaded = True

    async def _measure(self, now: datetime) -> dict[str, Measured]:
        """What every rule measures; nothing where the ledger cannot be read: what is owed is told all the same."""

        def work(connection: Connection) -> dict[str, Measured]:
            look = Look(connection, self._channels, now)
            return {name: measure(rule, look) for name, rule in self._rules.items()}

        try:
            return await asyncio.to_thread(self._ledger.read, work)
        except LedgerUnavailable as error:
            log.warning("alerts_not_measured", reason=str(error), detail=error.detail)
            return {}

    async def _tell(self, name: str, now: datetime) -> None:
        """Tell all who are owed news of an alert."""
        alert, remind_s = self._alerts[name], self._rules[name].remind_s
        owed = {target: news for target in self._targets if (news := news_for(alert, target, now, remind_s))}
        if not owed:
            return
        errors = await asyncio.gather(*(self._tell_one(name, target, news, now) for target, news in owed.items()))
        error = "; ".join(filter(None, errors)) or None
        if error and error != alert.error:
            log.error("alert_not_told", rule=name, reason=error)
        self._alerts[name] = msgspec.structs.replace(self._alerts[name], error=error)

    async def _tell_one(self, name: str, target: str, news: News, now: datetime) -> str | None:
        """Tell one target, and keep at once that it heard, so that a kill does not make it hear twice; what went wrong."""
        message = compose(news, self._alerts[name], self._rules[name].channel, self._letterhead)
        error = await self._targets[target].send(message)
        if error is not None:
            self._alerts[name] = missed(self._alerts[name], target)
            return f"{target} {error}"
        self._alerts[name] = heard(self._alerts[name], target, now)
        log.info("alert_told", rule=name, news=news.value, target=target)
        with contextlib.suppress(LedgerUnavailable):  # the look's end tries again, and says so
            await self._keep(name)
        return None

    async def _keep(self, *names: str) -> None:
        """Write what is not as it was written last. Raises LedgerUnavailable."""
        changed = [alert for name in names if (alert := self._alerts[name]) != self._kept.get(name)]
        if changed:
            await self._book.ask(KeepAlerts(changed, sorted(self._rules)))
            self._kept |= {alert.rule: alert for alert in changed}


def states_of(rules: Mapping[str, Rule], known: Iterable[Alert]) -> list[AlertState]:
    """Every rule as it stands, by name, also those of which nothing is known yet."""
    alerts = {alert.rule: alert for alert in known}
    return [_state(name, rule, alerts.get(name)) for name, rule in sorted(rules.items())]


def _state(name: str, rule: Rule, alert: Alert | None) -> AlertState:
    if alert is not None:
        return AlertState(**{field: getattr(alert, field) for field in AlertState.__struct_fields__})
    return AlertState(
        rule=name,
        when=rule.when,
        firing=False,
        since=None,
        value=None,
        en="not measured yet",
        zh="尚未测量",
        told_at=None,
        error=None,
    )
