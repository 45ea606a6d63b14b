"""NDJSON: a JSON object a line, as /v1 shows it."""

from typing import Any

import msgspec

from answerback.exports.cells import Values, format_column, is_all_none, transpose
from answerback.exports.columns import Column, ColumnType
from answerback.exports.pages import Rows
from answerback.exports.writers import ByteSink

_JSON = {ColumnType.KEYS, ColumnType.DOCUMENT}


class NdjsonWriter:
    """Rows as JSON objects, one a line."""

    def __init__(self, out: ByteSink, columns: tuple[Column, ...], *, full_numbers: bool) -> None:
        self._out = out
        self._columns = columns
        self._full_numbers = full_numbers
        self._object: Any = msgspec.defstruct("Line", [(column.name, Any) for column in columns], gc=False)
        self._encode = msgspec.json.Encoder().encode_lines

    def write(self, rows: Rows) -> None:
        if rows:
            self._out.write(self._encode(list(map(self._object, *transpose(self._columns, rows, self._cells)))))

    def close(self) -> None:
        """Nothing comes after the last line."""

    def _cells(self, column: Column, values: Values) -> Values:
        if is_all_none(values):
            return values
        cells = format_column(column, values, full_numbers=self._full_numbers)
        return [None if text is None else msgspec.Raw(text) for text in cells] if column.type in _JSON else cells
