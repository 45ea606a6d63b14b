"""The latest attempts at endpoints, to see at a glance how each does."""

from collections.abc import Collection

import msgspec
from sqlalchemy import Row, Select, select
from sqlalchemy.engine import Connection

from answerback.domain.endpoints import Attempt
from answerback.ledger.read.deliveries import attempt_of
from answerback.ledger.tables import attempts, deliveries

_US = 1_000_000
_LATEST_OF_ALL = 3_000  # attempts; a busy endpoint's are among them
_LATEST_OF_ONE = 300  # deliveries; a quiet endpoint's are too far back for the former

_shown = (deliveries.c.endpoint_id, attempts)


class DeliveryAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that was made lately, and the delivery that it was for."""

    delivery_id: int
    attempt: Attempt


def recent_attempts(
    connection: Connection, endpoint_ids: Collection[int], limit: int
) -> dict[int, list[DeliveryAttempt]]:
    """Endpoint id -> its latest attempts, oldest first, at most `limit`; bounded work, however long the history is."""
    found: dict[int, dict[int, DeliveryAttempt]] = {id_: {} for id_ in endpoint_ids}
    _collect(connection, _latest_of_all(), found)
    for endpoint_id, known in found.items():
        if len(known) < limit:
            _collect(connection, _latest_of_one(endpoint_id), found)
    return {id_: [recent for _, recent in sorted(known.items())[-limit:]] for id_, known in found.items()}


def _collect(connection: Connection, query: Select[tuple[int]], found: dict[int, dict[int, DeliveryAttempt]]) -> None:
    for row in connection.execute(query):
        if row.endpoint_id in found:
            found[row.endpoint_id][row.id] = _delivery_attempt(row)


def _latest_of_all() -> Select[tuple[int]]:
    latest = select(attempts.c.id).order_by(attempts.c.id.desc()).limit(_LATEST_OF_ALL).subquery()
    return (
        select(*_shown)
        .join_from(latest, attempts, attempts.c.id == latest.c.id)
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
    )


def _latest_of_one(endpoint_id: int) -> Select[tuple[int]]:
    mine = select(deliveries.c.id).where(deliveries.c.endpoint_id == endpoint_id)
    latest = mine.order_by(deliveries.c.id.desc()).limit(_LATEST_OF_ONE).subquery()
    return (
        select(*_shown)
        .join_from(latest, deliveries, deliveries.c.id == latest.c.id)
        .join(attempts, attempts.c.delivery_id == deliveries.c.id)
    )


def _delivery_attempt(row: Row[tuple[int]]) -> DeliveryAttempt:
    return DeliveryAttempt(delivery_id=row.delivery_id, attempt=attempt_of(row))
