import csv
import io
import json
import sys
from datetime import UTC, datetime

import pytest
from builders import CALLIDS, NOON, WIRE_TEXT, AnyCallback, callbacks, wire
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.endpoints import DeliveryState
from answerback.domain.masking import mask_raw_body
from answerback.domain.models import CallbackKind
from answerback.errors import InvalidExportFilter, MissingExtra
from answerback.exports import Dataset, Export, FileFormat
from answerback.exports.cells import format_microseconds, format_seconds
from answerback.exports.columns import CALLBACK_COLUMNS
from answerback.exports.fast_mask import mask_contract_body
from answerback.exports.writers.csv import CsvWriter, escape_formulas, quote_cells
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.read.deliveries import DeliveryFilter
from answerback.ledger.types import from_us

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
LAST_US = 253402300799 * 1_000_000


@pytest.mark.parametrize("first", list("=+-@\t\r\n＝＋－＠"))
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(first: str) -> None:
    """A cell that begins as formulas do is text, and can still be read."""
    assert escape_formulas([f"{first}8613788888888", "1+1", "", "a=b"]) == [f"'{first}8613788888888", "1+1", "", "a=b"]


@pytest.mark.parametrize(
    "text",
    [
        "075583763333",
        "0086",
        "123456789012",
        "12345678901234567890123456789012",
        "1.50",
        "1e5",
        "12345e10",
        "1,5",
        "5%",
        "¥5",
        "2026-11-23",
        "1/2",
        "3-4",
        "15:31",
        "11月23日",
        "2026年11月23日",
        "MAR1",
        "1-Mar",
        "sept2",
        "TRUE",
        "1 1/2",
        "9:30 pm",
    ],
)
def test_what_a_spreadsheet_would_change_gets_an_apostrophe(text: str) -> None:
    """A zero in front, digits that it does not show, a date that is none: text stays text."""
    assert escape_formulas([text]) == [f"'{text}"]


@pytest.mark.parametrize(
    "text",
    ["13788888888", "4001234567", "95000", "0", "86", "1 2 1", "137****8888", "d9428888-122b-11e1-b85c-61cd3cbb3210"],
)
def test_what_a_spreadsheet_shows_as_it_is_stays_as_it_is(text: str) -> None:
    """Most cells: whoever reads the file by a program finds the value."""
    assert escape_formulas([text]) == [text]


@given(st.lists(st.sampled_from(["a", ";", "\t", "\n", "=1", "+1", "-1", "@x", '"', ","])).map("".join))
def test_no_formula_begins_where_a_semicolon_separates(text: str) -> None:
    """In such a region a file is cut at other places: what stands there is no formula either."""
    line = ",".join(["x", *quote_cells(escape_formulas([text]))])
    for cells in csv.reader(io.StringIO(line), delimiter=";"):
        assert not [cell for cell in cells[1:] if cell.startswith(("=", "+", "-", "@"))]


@given(st.lists(TEXT, min_size=1, max_size=8))
def test_any_text_is_read_back_from_its_cell(texts: list[str]) -> None:
    """Commas, quotes and line breaks stay within their cell, whatever else there is in the column."""
    line = ",".join(quote_cells(texts)) + "\r\n"
    assert list(csv.reader(io.StringIO(line, newline=""))) == [texts if any(texts) or len(texts) > 1 else []]


@given(st.integers(0, LAST_US // 1_000_000))
def test_seconds_become_iso_8601(seconds: int) -> None:
    """A time in seconds reads as Python's own form of it."""
    assert format_seconds([seconds, None]) == [f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}", None]


@given(st.integers(0, LAST_US))
def test_microseconds_become_iso_8601(us: int) -> None:
    """A time in microseconds is the moment that the ledger means, to the microsecond."""
    (text,) = format_microseconds([us])
    assert text is not None
    assert datetime.fromisoformat(text) == datetime.fromtimestamp(us // 1_000_000, UTC).replace(
        microsecond=us % 1_000_000
    )
    if us < 4_102_444_800_000_000:  # until 2100 the views are exact, too
        assert datetime.fromisoformat(text) == from_us(us)


def test_a_whole_second_has_no_fraction() -> None:
    """As in /v1."""
    assert format_microseconds([1_000_000, 1_500_000]) == ["1970-01-01T00:00:01Z", "1970-01-01T00:00:01.500000Z"]


def test_the_sheet_begins_with_the_mark_and_ends_lines_as_excel_does() -> None:
    """UTF-8 with its mark, CRLF, names first; no rows are no more than that."""
    out = io.BytesIO()
    sheet = CsvWriter(out, CALLBACK_COLUMNS, full_numbers=True)
    sheet.write([])
    sheet.close()
    assert out.getvalue() == b"\xef\xbb\xbfid,callid,channel,kind,received_at,duplicates,last_duplicate_at,raw\r\n"


PIECES = st.one_of(
    st.sampled_from(
        ["13788888888", "+8613788888888", "1", "86", "1470197211", "", "138 0000 0000", "空号", "拨13900001111", 'a"b']
    ),
    st.integers(0, 10**12).map(str),
    st.integers(-5, 10**12),
    st.none(),
    WIRE_TEXT,
)
FIELDS = st.sampled_from(["mobile", "call_from", "callid", "accept_time", "fee", "failure_reason", "keypress", "extra"])


@given(callbacks(CALLIDS))
def test_a_callback_is_masked_as_in_the_api(callback: AnyCallback) -> None:
    """The short way gives what the long one gives."""
    body = wire(callback).decode()
    assert mask_contract_body(body) == mask_raw_body(body)


@given(st.dictionaries(FIELDS, PIECES), st.sampled_from([None, 2]), st.sampled_from(["", " ", "\ufeff", "x"]))
def test_any_body_is_masked_as_in_the_api(fields: dict[str, object], indent: int | None, before: str) -> None:
    """Whatever stands in its fields, and wherever a number stands once more."""
    body = before + json.dumps({"voiceprompt_callback": fields}, ensure_ascii=False, indent=indent)
    assert mask_contract_body(body) == mask_raw_body(body)


@pytest.mark.parametrize(
    "body",
    [
        '{"voicekey_callback":{"mobile":"13788888888","mobile":"13900001111"}}',
        '{"voicekey_callback":{"mobile":"13788888888","callid":"x-13788888888"}}',
        '{"voicekey_callback":{"mobile":13788888888}}',
        '{"voicekey_callback":{"mobile":"1378888\\u00388888"}}',
        '{"voicekey_callback":{"mobile":"13788888888"}} 13900001111',
        '{"voicekey_callback":{}}',
        "13788888888",
    ],
)
def test_an_odd_body_is_masked_as_in_the_api(body: str) -> None:
    """Names that come twice, numbers that are no text, what follows the object."""
    assert mask_contract_body(body) == mask_raw_body(body)


def test_filters_go_where_they_belong() -> None:
    """Deliveries have filters of their own; what is not given is no filter."""
    given_ = {"state": DeliveryState.DEAD, "channel": "alerts", "since": None}
    export = Export.of(Dataset.DELIVERIES, FileFormat.CSV, given_, full_numbers=False)
    assert export.deliveries == DeliveryFilter(state=DeliveryState.DEAD, channel="alerts")
    export = Export.of(Dataset.CALLS, FileFormat.CSV, {"mobile": "13788888888"}, full_numbers=True)
    assert export.calls == CallFilter(mobile="13788888888")


@pytest.mark.parametrize(
    ("what", "name", "field"),
    [
        (Dataset.CALLS, "state", "state"),
        (Dataset.CALLS, "endpoint_id", "endpoint"),
        (Dataset.DELIVERIES, "mobile", "mobile"),
        (Dataset.STATISTICS, "outcome", "outcome"),
    ],
)
def test_a_filter_that_does_not_fit_is_named(what: Dataset, name: str, field: str) -> None:
    """It is refused rather than ignored: a file of everything is not what was asked for."""
    with pytest.raises(
        InvalidExportFilter, match=f"^{field}: {what} cannot be filtered by it, only by channel|^{field}: "
    ) as reported:
        Export.of(what, FileFormat.CSV, {name: "1"}, full_numbers=False)
    assert reported.value.field == field


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r'pip install "answerback\[parquet\]"'):
        Export.of(Dataset.CALLS, FileFormat.PARQUET, {}, full_numbers=False)


def test_the_audit_event_names_the_filters_but_no_number() -> None:
    """Who looks through the audit log sees what was exported, not whose calls."""
    filters = {"mobile": "13788888888", "kind": CallbackKind.CODE, "since": NOON}
    about = Export.of(Dataset.CALLS, FileFormat.CSV, filters, full_numbers=True).audit_summary
    assert about == "calls.csv full numbers mobile=… kind=code since=2026-05-01T12:00:00+00:00"
