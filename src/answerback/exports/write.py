"""A whole export, from the ledger to a file, at constant memory."""

from collections.abc import Callable
from typing import Any

from answerback.exports.columns import CALL_COLUMNS, CALLBACK_COLUMNS, DELIVERY_COLUMNS, STATISTICS_COLUMNS, Column
from answerback.exports.pages import walk
from answerback.exports.spec import Export, FileFormat, What, require
from answerback.exports.writers.base import Form, Out
from answerback.exports.writers.csv import Sheet
from answerback.exports.writers.ndjson import Lines
from answerback.exports.writers.xlsx import Workbook
from answerback.ledger import Ledger

COLUMNS: dict[What, tuple[Column, ...]] = {
    What.CALLS: CALL_COLUMNS,
    What.CALLBACKS: CALLBACK_COLUMNS,
    What.DELIVERIES: DELIVERY_COLUMNS,
    What.STATISTICS: STATISTICS_COLUMNS,
}

Progress = Callable[[int, float], object]
"""Told after each page: rows so far, and how far the export is, from 0 to 1."""


def write_export(ledger: Ledger, export: Export, out: Out, progress: Progress = lambda _rows, _share: None) -> int:
    """Write all of `export` to `out`; how many rows it has. Raises LedgerUnavailable, ExtraMissing."""
    form, rows = _form(export, out), 0
    for page in walk(ledger, export):
        form.write(page.rows)
        rows += len(page.rows)
        progress(rows, page.share)
    form.close()
    return rows


def _form(export: Export, out: Out) -> Form:
    forms: dict[FileFormat, Any] = {FileFormat.CSV: Sheet, FileFormat.NDJSON: Lines, FileFormat.XLSX: Workbook}
    if export.format is FileFormat.PARQUET:
        require(export.format)
        from answerback.exports.writers.parquet import Parquet  # an extra, and large

        forms[FileFormat.PARQUET] = Parquet
    form: Form = forms[export.format](out, COLUMNS[export.what], full_numbers=export.full_numbers)
    return form
