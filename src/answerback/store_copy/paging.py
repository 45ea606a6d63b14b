"""Two ledgers side by side: the same stretch of keys of a table, read from both."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from answerback.store_copy.connection import PAGE, StoreConnection
from answerback.store_copy.postgresql import normalize_row
from answerback.store_copy.tables import Key, Row, TableSpec

_reading = ThreadPoolExecutor(1, "target")


def paired_pages(
    source: StoreConnection, target: StoreConnection, spec: TableSpec, columns: tuple[str, ...], upto: Key | None = None
) -> Iterator[tuple[list[Row], list[Row]]]:
    """The rows of both, a page of each at most, up to a key or to the end of both; `columns` begin with the key."""
    after: Key | None = None
    while True:
        ours, theirs = _read_both(source, target, spec, columns, after, upto)
        ends = [spec.key_of(rows[-1]) for rows in (ours, theirs) if len(rows) == PAGE]
        if ends:
            after = min(ends)
            ours, theirs = (_rows_up_to(spec, rows, after) for rows in (ours, theirs))
        yield ours, theirs
        if not ends:
            return


def _read_both(source: StoreConnection, target: StoreConnection, *what: Any) -> tuple[list[Row], list[Row]]:
    """A page of both, read at the same time."""
    theirs = _reading.submit(target.rows, *what)
    try:
        return source.rows(*what), theirs.result()
    finally:
        wait([theirs])


def _rows_up_to(spec: TableSpec, rows: list[Row], last: Key) -> list[Row]:
    if rows and spec.key_of(rows[-1]) <= last:
        return rows
    return [row for row in rows if spec.key_of(row) <= last]


def diff_keys(spec: TableSpec, ours: list[Row], theirs: list[Row]) -> tuple[list[Key], list[Key]]:
    """For one range of keys: the rows that the target must delete, and those that it must get."""
    if ours == theirs:
        return [], []
    mine = {spec.key_of(row): row for row in ours}
    its = {spec.key_of(row): row for row in theirs}
    changed = {key for key, row in its.items() if key in mine and not _same(row, mine[key])}
    gone = [key for key in its if key not in mine or key in changed]
    missing = [key for key in mine if key not in its or key in changed]
    return gone, missing


def _same(row: Row, other: Row) -> bool:
    """PostgreSQL spells one character of text in another way."""
    return row == other or normalize_row(row) == normalize_row(other)
