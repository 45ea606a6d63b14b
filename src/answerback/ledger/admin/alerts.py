"""Alerts as they stand: kept so that a restart neither tells people twice nor forgets to tell them the end."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, delete, select
from sqlalchemy.engine import Connection

from answerback.ledger.backends import bulk_sql
from answerback.ledger.tables import alerts
from answerback.ledger.types import from_us, to_us


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One rule and what is known of it; `value`, `en` and `zh` say what was measured last.

    `since` is when it last began or ended, `began_at` when it last began, `turning_at` since when the measure says that it
    should begin, or end. `told` has everybody who is owed a word of its end, with the time at which they last heard of it;
    None where its begin did not arrive. `told_at` is when anybody heard anything, `error` what keeps a word from arriving.
    """

    rule: str
    when: str
    since: datetime
    firing: bool = False
    value: float | None = None
    en: str = ""
    zh: str = ""
    began_at: datetime | None = None
    turning_at: datetime | None = None
    told: Mapping[str, datetime | None] = {}
    told_at: datetime | None = None
    error: str | None = None


class _Measured(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the column `value` holds: all that has no column of its own."""

    when: str
    value: float | None = None
    en: str = ""
    zh: str = ""
    began_at: datetime | None = None
    turning_at: datetime | None = None
    told: Mapping[str, datetime | None] = {}
    error: str | None = None


_COLUMNS = ("rule", "firing", "since_us", "value", "told_us")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Measured).decode


def find_alerts(connection: Connection) -> list[Alert]:
    """Every rule of which something is known, by name."""
    return [_alert(row) for row in connection.execute(select(alerts).order_by(alerts.c.rule))]


def keep_alerts(connection: Connection, changed: Sequence[Alert]) -> None:
    """Keep alerts as they are now."""
    bulk_sql.upsert(connection, alerts, _COLUMNS, ("rule",), [_row(alert) for alert in changed])


def forget_alerts(connection: Connection, rules: Collection[str]) -> None:
    """Forget what is known of all but these rules."""
    connection.execute(delete(alerts).where(alerts.c.rule.not_in(rules)))


def _alert(row: Row[Any]) -> Alert:
    return Alert(
        rule=row.rule,
        firing=bool(row.firing),
        since=from_us(row.since_us),
        told_at=None if row.told_us is None else from_us(row.told_us),
        **msgspec.structs.asdict(_decode(row.value)),
    )


def _row(alert: Alert) -> tuple[object, ...]:
    measured = _Measured(**{name: getattr(alert, name) for name in _Measured.__struct_fields__})
    told_us = None if alert.told_at is None else to_us(alert.told_at)
    return (alert.rule, int(alert.firing), to_us(alert.since), _encode(measured).decode(), told_us)
