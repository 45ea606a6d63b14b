"""Alerts as they stand: kept so that a restart neither notifies people twice nor forgets to notify them of the end."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, delete, select
from sqlalchemy.engine import Connection

from answerback.ledger.backends.selection import bulk_sql
from answerback.ledger.rows import read_row
from answerback.ledger.tables import alerts
from answerback.ledger.types import to_us


class _AlertDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the column `value` holds: all that has no column of its own."""

    metric: str
    value: float | None = None
    en: str = ""
    zh: str = ""
    started_at: datetime | None = None
    pending_since: datetime | None = None
    last_sent_at: Mapping[str, datetime | None] = {}
    error: str | None = None


class Alert(_AlertDetails, frozen=True, kw_only=True):
    """One rule and what is known of it; `value`, `en` and `zh` say what was measured last.

    `since` is when it last began or ended, `started_at` when it last began, `pending_since` since when the measure says that it
    should begin, or end. `last_sent_at` has everybody who is to be notified of its end, with the time of the last message to them;
    None where its begin did not arrive. `notified_at` is when anybody was last notified, `error` why a message did not arrive.
    """

    rule: str
    since: datetime
    firing: bool = False
    notified_at: datetime | None = None


_COLUMNS = ("rule", "firing", "since_us", "value", "notified_us")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_AlertDetails).decode


def find_alerts(connection: Connection) -> list[Alert]:
    """Every rule of which something is known, by name."""
    return [_alert(row) for row in connection.execute(select(alerts).order_by(alerts.c.rule))]


def save_alerts(connection: Connection, changed: Sequence[Alert]) -> None:
    """Keep alerts as they are now."""
    bulk_sql(connection).upsert(alerts, _COLUMNS, ("rule",), [_row(alert) for alert in changed])


def delete_stale_alerts(connection: Connection, rules: Collection[str]) -> None:
    """Forget what is known of all but these rules."""
    connection.execute(delete(alerts).where(alerts.c.rule.not_in(rules)))


def _alert(row: Row[Any]) -> Alert:
    return read_row(Alert, row, firing=bool(row.firing), **msgspec.structs.asdict(_decode(row.value)))


def _row(alert: Alert) -> tuple[object, ...]:
    measured = _AlertDetails(**{name: getattr(alert, name) for name in _AlertDetails.__struct_fields__})
    notified_us = None if alert.notified_at is None else to_us(alert.notified_at)
    return (alert.rule, int(alert.firing), to_us(alert.since), _encode(measured).decode(), notified_us)
