"""CSV for spreadsheets: UTF-8 with its mark, by which Excel knows it, CRLF, and no cell that a spreadsheet would run.

Cells are quoted by the column, as only few columns ever hold a comma: the csv module looks at each cell twice, and takes
twice as long. Source of the first characters that make a formula: OWASP, "CSV Injection".
"""

import msgspec

from answerback.exports.cells import Values, all_same, in_columns, plain
from answerback.exports.columns import Column, Sort
from answerback.exports.form import Out
from answerback.exports.walks import Rows

_MARK = "\ufeff"
_END = "\r\n"
_BEGINS_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")
_NEEDS_QUOTES = ('"', ",", "\r", "\n")
_MOST_NUMBERS = 10_000

_keys = msgspec.json.Decoder(list[str]).decode


class Sheet:
    """Rows as lines of comma-separated cells."""

    def __init__(self, out: Out, columns: tuple[Column, ...], *, full_numbers: bool) -> None:
        self._out = out
        self._columns = columns
        self._full_numbers = full_numbers
        self._out.write(f"{_MARK}{','.join(column.name for column in columns)}{_END}".encode())

    def write(self, rows: Rows) -> None:
        """Add `rows`."""
        if rows:
            lines = map(",".join, zip(*in_columns(self._columns, rows, self._cells), strict=True))
            self._out.write(f"{_END.join(lines)}{_END}".encode())

    def close(self) -> None:
        """Nothing comes after the last line."""

    def _cells(self, column: Column, values: Values) -> Values:
        if all_same(values):
            return self._each(column, values[:1]) * len(values)
        return self._each(column, values)

    def _each(self, column: Column, values: Values) -> list[str]:
        cells = plain(column, values, full_numbers=self._full_numbers, nothing="")
        match column.sort:
            case Sort.SECONDS | Sort.MICROSECONDS:
                return list(cells)
            case Sort.NUMBER:
                return list(map(_numbers.__getitem__, cells))
            case Sort.WORD:
                return ["" if word is None else word for word in cells]
            case Sort.KEYS:
                return quoted(safe(["" if keys == "[]" else " ".join(_keys(keys)) for keys in cells]))
            case _:
                return quoted(safe(cells))


class _Numbers(dict[int | None, str]):
    """Numbers as text; most of them are small and come again."""

    def __missing__(self, number: int | None) -> str:
        text = "" if number is None else str(number)
        if len(self) < _MOST_NUMBERS:
            self[number] = text
        return text


_numbers = _Numbers()


def safe(cells: Values) -> list[str]:
    """Put an apostrophe before what a spreadsheet would take for a formula; a number such as +86… stays readable."""
    begins = _BEGINS_FORMULA
    return [(f"'{text}" if text[0] in begins else text) if text else "" for text in cells]


def quoted(cells: list[str]) -> list[str]:
    """Put quotes around the cells that need them."""
    together = "".join(cells)
    if not any(mark in together for mark in _NEEDS_QUOTES):
        return cells
    return [_quoted(text) if any(mark in text for mark in _NEEDS_QUOTES) else text for text in cells]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
