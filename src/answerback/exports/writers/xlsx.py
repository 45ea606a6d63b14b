"""XLSX: typed cells, written as a stream, so that the first rows are on their way while the last are read.

Why no library writes it: docs/decisions/0029-files-for-spreadsheets.md. Source of the form: ECMA-376, SpreadsheetML; of the limits:
Microsoft, "Excel specifications and limits".
"""

import re
from typing import IO, cast
from zipfile import ZIP_DEFLATED, ZipFile

import msgspec

from answerback.exports.cells import Values, format_microseconds, format_seconds, is_all_same, mask_column, transpose
from answerback.exports.columns import Column, ColumnType
from answerback.exports.pages import Rows
from answerback.exports.writers import ByteSink, SinkFile

MOST_ROWS = 1_048_576
"""Of a sheet, the first one with the names of the columns; what is more goes on a further sheet."""
LONGEST_TEXT = 32_767
"""Of a cell, in UTF-16."""
MOST_BYTES = 1_500_000_000
"""Of a sheet before it is packed: zip needs another form for more, which Excel does not read."""

_DAY_S, _DAY_US = 86_400, 86_400_000_000
_DAYS_TO_1970 = 25_569
_FIRST_DAY = 61  # of March 1900; before it Excel has a day that never was
_LARGEST = 10**15  # Excel keeps 15 digits
_TIME, _TEXT, _HEAD = 1, 2, 3  # cell styles, see _STYLES
_WIDTHS = {ColumnType.NUMBER: 10, ColumnType.SECONDS: 20, ColumnType.MICROSECONDS: 24, ColumnType.TRUSTED_TEXT: 12}
_EMPTY = "<c/>"

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_CONTENT_TYPES = (
    f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
    f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Default Extension="xml" ContentType="{_TYPES}.worksheet+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_TYPES}.styles+xml"/></Types>'
)
_ROOT = (
    f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
)
_STYLES = (
    f'{_XML}<styleSheet xmlns="{_MAIN}">'
    '<numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="49" fontId="1" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" applyFont="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)
_SHEET_END = "</sheetData></worksheet>"
_SPECIAL = re.compile(r"[&<>\x00-\x08\x0b-\x1f\ufffe\uffff]|_x[0-9A-Fa-f]{4}_")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

_keys = msgspec.json.Decoder(list[str]).decode


class XlsxWriter:
    """Rows as sheets of a workbook: numbers and times as such, all else as text."""

    def __init__(self, out: ByteSink, columns: tuple[Column, ...], *, full_numbers: bool) -> None:
        self._columns = columns
        self._full_numbers = full_numbers
        self._zip = ZipFile(cast(IO[bytes], SinkFile(out)), "w", ZIP_DEFLATED, compresslevel=1)
        for name, part in (("[Content_Types].xml", _CONTENT_TYPES), ("_rels/.rels", _ROOT), ("xl/styles.xml", _STYLES)):
            self._zip.writestr(name, part)
        self._sheets = 0
        self._begin_sheet()

    def write(self, rows: Rows) -> None:
        while rows:
            if self._rows == MOST_ROWS or self._bytes >= MOST_BYTES:
                self._end_sheet()
                self._begin_sheet()
            room = MOST_ROWS - self._rows
            batch, rows = rows[:room], rows[room:]
            cells = map("".join, zip(*transpose(self._columns, batch, self._cells), strict=True))
            self._put(f"<row>{'</row><row>'.join(cells)}</row>")
            self._rows += len(batch)

    def close(self) -> None:
        """End the last sheet, and say which there are."""
        self._end_sheet()
        numbers = range(1, self._sheets + 1)
        sheets = "".join(f'<sheet name="{n}" sheetId="{n}" r:id="rId{n}"/>' for n in numbers)
        self._zip.writestr(
            "xl/workbook.xml",
            f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{sheets}</sheets></workbook>',
        )
        relations = "".join(
            f'<Relationship Id="rId{n}" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet{n}.xml"/>'
            for n in numbers
        )
        styles = f'<Relationship Id="rId0" Type="{_RELATIONS}/styles" Target="styles.xml"/>'
        self._zip.writestr(
            "xl/_rels/workbook.xml.rels",
            f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{styles}{relations}</Relationships>',
        )
        self._zip.close()

    def _begin_sheet(self) -> None:
        self._sheets += 1
        self._rows, self._bytes = 1, 0
        self._sheet = self._zip.open(f"xl/worksheets/sheet{self._sheets}.xml", "w")
        widths = "".join(
            f'<col min="{n}" max="{n}" width="{_WIDTHS.get(column.type, 18)}" customWidth="1"/>'
            for n, column in enumerate(self._columns, 1)
        )
        names = "".join(_text(column.name, _HEAD) for column in self._columns)
        self._put(
            f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
            '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
            f"<cols>{widths}</cols><sheetData><row>{names}</row>"
        )

    def _end_sheet(self) -> None:
        self._put(_SHEET_END)
        self._sheet.close()

    def _put(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        self._bytes += len(data)
        self._sheet.write(data)

    def _cells(self, column: Column, values: Values) -> list[str]:
        return (
            self._format_each(column, values[:1]) * len(values)
            if is_all_same(values)
            else self._format_each(column, values)
        )

    def _format_each(self, column: Column, values: Values) -> list[str]:
        match column.type:
            case ColumnType.NUMBER:
                numbers = mask_column(column, values, full_numbers=self._full_numbers)
                return [_EMPTY if n is None else _number(n) for n in numbers]
            case ColumnType.SECONDS:
                return _times(values, _DAY_S, format_seconds(values))
            case ColumnType.MICROSECONDS:
                return _times(values, _DAY_US, format_microseconds(values))
        texts = mask_column(column, values, full_numbers=self._full_numbers)
        if column.type is ColumnType.KEYS:
            texts = [" ".join(_keys(keys)) for keys in texts]
        return [_text(text) if text else _EMPTY for text in texts]


def _number(number: int) -> str:
    return f"<c><v>{number}</v></c>" if abs(number) < _LARGEST else _text(str(number))


def _times(values: Values, day: int, texts: list[str | None]) -> list[str]:
    """Days since 1900, as Excel counts them; what it has no day for is text."""
    return [
        _EMPTY
        if value is None
        else f'<c s="{_TIME}"><v>{value / day + _DAYS_TO_1970!r}</v></c>'
        if value // day + _DAYS_TO_1970 >= _FIRST_DAY
        else _text(text or "")
        for value, text in zip(values, texts, strict=True)
    ]


def _text(text: str, style: int = _TEXT) -> str:
    if len(text) > LONGEST_TEXT // 2:
        text = _cut_text(text)
    escaped = _SPECIAL.sub(_escape, text)
    return f'<c t="inlineStr" s="{style}"><is><t xml:space="preserve">{escaped}</t></is></c>'


def _cut_text(text: str) -> str:
    """`text` as far as a cell holds it, with a word that it was cut."""
    units = text.encode("utf-16-le", "replace")
    if len(units) <= 2 * LONGEST_TEXT:
        return text
    cut = f"… (cut: {len(text)} characters)"
    return units[: 2 * (LONGEST_TEXT - len(cut))].decode("utf-16-le", "ignore") + cut


def _escape(found: re.Match[str]) -> str:
    """As XML has it, and what XML has not as Excel writes it: _x0000_."""
    special = found[0]
    if len(special) > 1:
        return f"_x005F{special}"
    return _ENTITIES.get(special) or f"_x{ord(special):04X}_"
