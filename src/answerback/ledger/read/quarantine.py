"""Read what was rejected."""

from functools import partial

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from answerback.domain.models import ROWS_RESULT, Page, QuarantineItem
from answerback.errors import ResourceNotFound
from answerback.ledger.read.paging import MAX_ID, read_cursor, read_page
from answerback.ledger.rows import read_row
from answerback.ledger.tables import quarantine


def find_quarantined(
    connection: Connection, channel: str | None, cursor: str | None, limit: int
) -> Page[QuarantineItem]:
    """A page of refused bodies, newest first."""
    query = select(quarantine)
    if channel is not None:
        query = query.where(quarantine.c.channel == channel)
    return read_page(
        connection, query, None if cursor is None else read_cursor(cursor), limit, partial(read_row, QuarantineItem)
    )


def find_quarantined_body(connection: Connection, id_: int) -> QuarantineItem:
    """One refused body. Raises ResourceNotFound."""
    known = 0 <= id_ < MAX_ID  # beyond it the driver has no such number
    row = connection.execute(select(quarantine).where(quarantine.c.id == id_)).one_or_none() if known else None
    if row is None:
        raise ResourceNotFound(f"nothing in quarantine with id {id_}")
    return read_row(QuarantineItem, row)


def find_requeueable_ids(connection: Connection) -> list[int]:
    """The id of everything that can be parsed again, oldest first."""
    is_rows = quarantine.c.result == ROWS_RESULT
    rows = [read_row(QuarantineItem, row) for row in connection.execute(select(quarantine).where(is_rows))]
    bodies = connection.execute(select(quarantine.c.id).where(~is_rows)).scalars()
    return sorted([*bodies, *(item.id for item in rows if item.requeueable)])


def measure_quarantine(connection: Connection) -> tuple[int, int]:
    """How many bodies are in quarantine, and their bytes."""
    totals = select(func.count(), func.coalesce(func.sum(quarantine.c.size_bytes), 0)).select_from(quarantine)
    count, size_bytes = connection.execute(totals).one()
    return count, size_bytes
