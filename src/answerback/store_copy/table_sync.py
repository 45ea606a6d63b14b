"""Bring one table of the target up to the source's: what is there is compared, what is not is added.

The tables themselves show how far an earlier copy got, so a copy may be killed at any point.
"""

from collections.abc import Callable

import msgspec

from answerback.store_copy.connection import PAGE, StoreConnection
from answerback.store_copy.paging import diff_keys, paired_pages
from answerback.store_copy.tables import Key, TableSpec

OnProgress = Callable[[int], None]
"""Called with the number of the source's rows that were processed."""


class TableSyncResult(msgspec.Struct):
    """What was done to one table: rows it did not have, rows that had changed, rows the source has no more."""

    added: int = 0
    changed: int = 0
    removed: int = 0

    def count(self, gone: list[Key], missing: list[Key]) -> None:
        changed = len(set(gone).intersection(missing))
        self.changed += changed
        self.added += len(missing) - changed
        self.removed += len(gone) - changed


def sync_table(
    source: StoreConnection, target: StoreConnection, spec: TableSpec, advance: OnProgress
) -> TableSyncResult:
    """Bring a table up to the source's."""
    return (_sync_append_only if spec.append_only else _sync_mutable)(source, target, spec, advance)


def _sync_append_only(
    source: StoreConnection, target: StoreConnection, spec: TableSpec, advance: OnProgress
) -> TableSyncResult:
    """Compare up to the target's last row, then add what is above it."""
    result = TableSyncResult()
    last = target.last_key(spec)
    if last is not None:
        for ours, theirs in paired_pages(source, target, spec, spec.compare_columns, last):
            gone, missing = diff_keys(spec, ours, theirs)
            if gone or missing:
                target.replace(spec, gone, source.rows_of(spec, spec.columns, missing))
                result.count(gone, missing)
            advance(len(ours))
    while rows := source.rows(spec, spec.columns, last):
        target.replace(spec, (), rows)
        result.added += len(rows)
        last = spec.key_of(rows[-1])
        advance(len(rows))
    return result


def _sync_mutable(
    source: StoreConnection, target: StoreConnection, spec: TableSpec, advance: OnProgress
) -> TableSyncResult:
    """First all goes that has to, for what comes may have its name, or its digest."""
    result, gone, missing = TableSyncResult(), list[Key](), list[Key]()
    for ours, theirs in paired_pages(source, target, spec, spec.compare_columns):
        less, more = diff_keys(spec, ours, theirs)
        gone += less
        missing += more
        advance(len(ours))
    for start in range(0, len(gone), PAGE):
        target.replace(spec, gone[start : start + PAGE], ())
    for start in range(0, len(missing), PAGE):
        target.replace(spec, (), source.rows_of(spec, spec.columns, missing[start : start + PAGE]))
    result.count(gone, missing)
    return result
