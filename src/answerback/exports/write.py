"""A whole export, from the ledger to a file, at constant memory."""

from collections.abc import Callable
from typing import Any

from answerback.exports.columns import CALL_COLUMNS, CALLBACK_COLUMNS, DELIVERY_COLUMNS, STATISTICS_COLUMNS, Column
from answerback.exports.pages import iter_pages
from answerback.exports.spec import Dataset, Export, FileFormat, require_extra
from answerback.exports.writers import ByteSink, RowWriter
from answerback.exports.writers.csv import CsvWriter
from answerback.exports.writers.ndjson import NdjsonWriter
from answerback.exports.writers.xlsx import XlsxWriter
from answerback.ledger import Ledger

COLUMNS: dict[Dataset, tuple[Column, ...]] = {
    Dataset.CALLS: CALL_COLUMNS,
    Dataset.CALLBACKS: CALLBACK_COLUMNS,
    Dataset.DELIVERIES: DELIVERY_COLUMNS,
    Dataset.STATISTICS: STATISTICS_COLUMNS,
}

OnProgress = Callable[[int, float], object]
"""Called after each page with the rows so far and the progress, from 0 to 1."""


def write_export(
    ledger: Ledger, export: Export, out: ByteSink, on_progress: OnProgress = lambda _rows, _share: None
) -> int:
    """Write all of `export` to `out`; how many rows it has. Raises LedgerUnavailable, MissingExtra."""
    form, rows = _open_writer(export, out), 0
    for page in iter_pages(ledger, export):
        form.write(page.rows)
        rows += len(page.rows)
        on_progress(rows, page.progress)
    form.close()
    return rows


def _open_writer(export: Export, out: ByteSink) -> RowWriter:
    forms: dict[FileFormat, Any] = {
        FileFormat.CSV: CsvWriter,
        FileFormat.NDJSON: NdjsonWriter,
        FileFormat.XLSX: XlsxWriter,
    }
    if export.format is FileFormat.PARQUET:
        require_extra(export.format)
        from answerback.exports.writers.parquet import ParquetWriter  # an extra, and large

        forms[FileFormat.PARQUET] = ParquetWriter
    form: RowWriter = forms[export.format](out, COLUMNS[export.dataset], full_numbers=export.full_numbers)
    return form
