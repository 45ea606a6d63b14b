"""CSV for spreadsheets: UTF-8 with its mark, by which Excel knows it, CRLF, and no text that a spreadsheet would run or change.

What would be run is a formula, at the beginning of a cell or behind what parts cells elsewhere: a semicolon, a tab, a line
break. What would be changed is a number with a leading zero or more digits than are shown, a date, a time: all of it gets
an apostrophe before it. See docs/decisions/0029-files-for-spreadsheets.md.

Cells are quoted by the column, as only few columns ever hold a comma: the csv module looks at each cell twice, and takes
twice as long. Source of the first characters that make a formula: OWASP, "CSV Injection".
"""

import re

import msgspec

from answerback.exports.cells import Values, format_column, is_all_same, transpose
from answerback.exports.columns import Column, ColumnType
from answerback.exports.pages import Rows
from answerback.exports.writers import ByteSink

_MARK = "\ufeff"
_END = "\r\n"
_BEGINS_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")
_PARTS = re.compile(r"[;\t\r\n]")
_FORMULA = re.compile(r"(^(?=[=+\-@\t\r\n＝＋－＠])|[;\t\r\n]\"*(?=[=+\-@＝＋－＠]))")
_DIGITS_SHOWN = 11
_LONGEST_CHANGED = 30
_CHANGED = re.compile(
    r"""(?:[$¥€£(]?\s?[0-9.,]*[0-9][.,]?(?:e[+-]?[0-9]+)?\s?[%)]?                  # 1.50, 1e5, 5%
    |[0-9]{1,4}(?:[-/.:年月][0-9]{1,4})+[日]?(?:[T ][0-9:.]+)?(?:\s?[ap]m?)?     # 2026-11-23, 1/2, 15:31
    |[0-9]+\s[0-9]+/[0-9]+
    |(?:[0-9]{1,4}[-/ ]?)?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[-/ ]?(?:[0-9]{1,4})?
    |true|false)\Z""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_NEEDS_QUOTES = ('"', ",", ";", "\t", "\r", "\n")
_MOST_NUMBERS = 10_000

_keys = msgspec.json.Decoder(list[str]).decode


class CsvWriter:
    """Rows as lines of comma-separated cells."""

    def __init__(self, out: ByteSink, columns: tuple[Column, ...], *, full_numbers: bool) -> None:
        self._out = out
        self._columns = columns
        self._full_numbers = full_numbers
        self._out.write(f"{_MARK}{','.join(column.name for column in columns)}{_END}".encode())

    def write(self, rows: Rows) -> None:
        if rows:
            lines = map(",".join, zip(*transpose(self._columns, rows, self._cells), strict=True))
            self._out.write(f"{_END.join(lines)}{_END}".encode())

    def close(self) -> None:
        """Nothing comes after the last line."""

    def _cells(self, column: Column, values: Values) -> Values:
        if is_all_same(values):
            return self._format_each(column, values[:1]) * len(values)
        return self._format_each(column, values)

    def _format_each(self, column: Column, values: Values) -> list[str]:
        cells = format_column(column, values, full_numbers=self._full_numbers, nothing="")
        match column.type:
            case ColumnType.SECONDS | ColumnType.MICROSECONDS:
                return list(cells)
            case ColumnType.NUMBER:
                return list(map(_numbers.__getitem__, cells))
            case ColumnType.TRUSTED_TEXT:
                return ["" if word is None else word for word in cells]
            case ColumnType.KEYS:
                return quote_cells(escape_formulas(["" if keys == "[]" else " ".join(_keys(keys)) for keys in cells]))
            case _:
                return quote_cells(escape_formulas(cells))


class _Numbers(dict[int | None, str]):
    """Numbers as text; most of them are small and come again."""

    def __missing__(self, number: int | None) -> str:
        text = "" if number is None else str(number)
        if len(self) < _MOST_NUMBERS:
            self[number] = text
        return text


_numbers = _Numbers()


def escape_formulas(cells: Values) -> list[str]:
    """Put an apostrophe before what a spreadsheet would run or change; a number such as +86… stays readable."""
    return [_escape_formula(text) if text else "" for text in cells]


def _escape_formula(text: str) -> str:
    if text.isdigit():
        is_shown = len(text) == 1 or (text[0] != "0" and len(text) <= _DIGITS_SHOWN)
        return text if is_shown else f"'{text}"
    if len(text) <= _LONGEST_CHANGED and _CHANGED.match(text):
        return f"'{text}"
    return _FORMULA.sub(r"\1'", text) if text[0] in _BEGINS_FORMULA or _PARTS.search(text) else text


def quote_cells(cells: list[str]) -> list[str]:
    """Put quotes around the cells that need them."""
    together = "".join(cells)
    if not any(mark in together for mark in _NEEDS_QUOTES):
        return cells
    return [_quote_cell(text) if any(mark in text for mark in _NEEDS_QUOTES) else text for text in cells]


def _quote_cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
