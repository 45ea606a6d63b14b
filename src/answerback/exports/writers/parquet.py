"""Parquet: typed columns, compressed; times are timestamps in UTC, keys a list, metadata JSON as text."""

from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from answerback.exports.cells import Values, mask_column, transpose
from answerback.exports.columns import Column, ColumnType
from answerback.exports.pages import Rows
from answerback.exports.writers import ByteSink, SinkFile

_ROWS_PER_GROUP = 32_768
_US = 1_000_000
_TIME = pa.timestamp("us", tz="UTC")
_TYPES = {
    ColumnType.NUMBER: pa.int64(),
    ColumnType.SECONDS: _TIME,
    ColumnType.MICROSECONDS: _TIME,
    ColumnType.KEYS: pa.list_(pa.string()),
}

_keys: Callable[[str], list[str]] = msgspec.json.Decoder(list[str]).decode


class ParquetWriter:
    """Rows as groups of columns; a group is written when it is full."""

    def __init__(self, out: ByteSink, columns: tuple[Column, ...], *, full_numbers: bool) -> None:
        pa.set_memory_pool(pa.system_memory_pool())  # gives back what a group took
        self._columns = columns
        self._full_numbers = full_numbers
        self._schema = pa.schema([(column.name, _TYPES.get(column.type, pa.string())) for column in columns])
        self._file = pq.ParquetWriter(pa.PythonFile(SinkFile(out), mode="w"), self._schema, compression="zstd")
        self._batches: list[Any] = []
        self._waiting = 0

    def write(self, rows: Rows) -> None:
        if rows:
            self._batches.append(pa.record_batch(transpose(self._columns, rows, self._array), schema=self._schema))
            self._waiting += len(rows)
        if self._waiting >= _ROWS_PER_GROUP:
            self._flush()

    def close(self) -> None:
        """Write the last group, and where each group is."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if self._batches:
            self._file.write_table(pa.Table.from_batches(self._batches, self._schema))
            self._batches, self._waiting = [], 0

    def _array(self, column: Column, values: Values) -> Any:
        values = mask_column(column, values, full_numbers=self._full_numbers)
        if column.type is ColumnType.SECONDS:
            values = [None if seconds is None else seconds * _US for seconds in values]
        elif column.type is ColumnType.KEYS:
            values = [[] if keys == "[]" else _keys(keys) for keys in values]
        return pa.array(values, _TYPES.get(column.type, pa.string()))
