"""Compare one table of both ledgers to the last byte."""

import msgspec

from answerback.store_copy.connection import StoreConnection
from answerback.store_copy.paging import diff_keys, paired_pages
from answerback.store_copy.table_sync import OnProgress
from answerback.store_copy.tables import Key, TableSpec


class Difference(msgspec.Struct, frozen=True):
    """Rows of a table that are not the same in both, from the first of their keys to the last."""

    rows: int
    first: str
    last: str


class VerifyResult(msgspec.Struct, frozen=True):
    """How many rows a table of each ledger has, and how they differ, if they do."""

    source_rows: int
    target_rows: int
    difference: Difference | None = None


def verify(source: StoreConnection, target: StoreConnection, spec: TableSpec, advance: OnProgress) -> VerifyResult:
    """Read a table of both, all columns of all rows, in order of the keys."""
    source_rows = target_rows = differ = 0
    first = last = None
    for ours, theirs in paired_pages(source, target, spec, spec.columns):
        source_rows += len(ours)
        target_rows += len(theirs)
        gone, missing = diff_keys(spec, ours, theirs)
        for key in sorted({*gone, *missing}):
            differ += 1
            first, last = first or key, key
        advance(len(ours))
    if first is None or last is None:
        return VerifyResult(source_rows, target_rows)
    return VerifyResult(source_rows, target_rows, difference=Difference(differ, _format_key(first), _format_key(last)))


def _format_key(key: Key) -> str:
    return "/".join(str(part) for part in key)
