"""A whole export, from the ledger to bytes, at constant memory."""

from collections.abc import Iterator
from typing import Any

import msgspec

from answerback.domain.exports import Dataset, FileFormat
from answerback.exports.columns import CALL_COLUMNS, CALLBACK_COLUMNS, DELIVERY_COLUMNS, STATISTICS_COLUMNS, Column
from answerback.exports.pages import iter_pages
from answerback.exports.spec import Export, require_extra
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


class ExportChunk(msgspec.Struct, frozen=True):
    """A part of the file; the rows up to its end, and the progress, from 0 to 1."""

    data: bytes
    rows: int
    progress: float


class _Buffer:
    """What a writer has written since it was asked last."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes, /) -> None:
        self._parts.append(data)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def iter_export(ledger: Ledger, export: Export) -> Iterator[ExportChunk]:
    """The file of `export`, a page of rows at a time. Raises LedgerUnavailable, MissingExtra."""
    buffer, rows = _Buffer(), 0
    form = _open_writer(export, buffer)
    for page in iter_pages(ledger, export):
        form.write(page.rows)
        rows += len(page.rows)
        yield ExportChunk(buffer.take(), rows, page.progress)
    form.close()
    yield ExportChunk(buffer.take(), rows, 1.0)


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
