"""What an export holds, read back from the file, against what the ledger says otherwise."""

import csv
import io
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import openpyxl
import pyarrow.parquet as pq
import pytest
from builders import NOON, STARTED, failure, key_press, received, status, unanswered
from contract import delivery_helpers
from contract.backends import lent_store, sqlite
from contract.test_retention import prune

from answerback.domain.endpoints import DeliveryState
from answerback.domain.models import MAX_PAGE_SIZE, Call, CallbackKind, Outcome, Result
from answerback.domain.webhook_payload import call_fields
from answerback.exports import Dataset, Export, FileFormat
from answerback.exports.pages import iter_pages
from answerback.exports.write import iter_export
from answerback.ledger import Ledger
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.read.deliveries import DeliveryFilter
from answerback.ledger.read.statistics import HourRange
from answerback.schemas.callbacks import CallbackView
from answerback.schemas.calls import CallView
from answerback.schemas.deliveries import DeliveryView

PAGE = 128
"""Ids on a page and, twice as many, in a block of calls, where a test is about more than one: `small_pages`."""
MOBILE = "+8613788888888"
LANDLINE = "075583763333"
BOTH = pytest.mark.parametrize("full_numbers", [True, False])


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """Calls of every kind and outcome in two channels, with what a spreadsheet and a JSON reader stumble over."""
    items = [
        received(status(callid="answered", mobile=MOBILE, call_from="4001234567"), after_s=0),
        received(unanswered(callid="unanswered", call_from=LANDLINE), channel="alerts", after_s=1.5),
        received(failure(callid="failed", reason='=cmd|"/c calc",\r\n1'), after_s=2),
        received(failure(callid="again", code=5, reason="请拨13900001111"), after_s=3),
        received(key_press(callid="keys", key="1"), after_s=4),
        received(key_press(callid="keys", key="#"), after_s=5),
        received(key_press(callid="keys", key="13900001111"), after_s=6),
        received(status(callid="@import", kind=CallbackKind.CODE, ended_at=None, fee_minutes=None), after_s=7),
        received(status(callid="answered", mobile=MOBILE, call_from="4001234567"), after_s=60),
    ]
    ledger.record(items)
    reported = {"note": '=1+1, "quoted" 13900001111', "nested": {"n": 1.5}}
    delivery_helpers.annotate(ledger, "answered", reference="-order/13900001111", metadata=reported, at_s=10)
    delivery_helpers.annotate(ledger, "only-registered", reference="r-2", due_at=NOON + timedelta(days=1), at_s=11)
    return ledger


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few calls on a page that more than two of them are soon written and read."""
    monkeypatch.setattr("answerback.exports.pages.IDS_PER_PAGE", PAGE)
    monkeypatch.setattr("answerback.ledger.backends.postgresql.partition_ids.CALLS_PER_BLOCK", 2 * PAGE)


def written(ledger: Ledger, what: Dataset, form: FileFormat, *, full_numbers: bool = True, **filters: Any) -> bytes:
    """The whole file."""
    export = Export.of(what, form, filters, full_numbers=full_numbers)
    return b"".join(chunk.data for chunk in iter_export(ledger, export))


def lines(ledger: Ledger, what: Dataset, **given: Any) -> list[dict[str, Any]]:
    """The objects of an NDJSON file."""
    return [json.loads(line) for line in written(ledger, what, FileFormat.NDJSON, **given).splitlines()]


def sheet(ledger: Ledger, what: Dataset, **given: Any) -> list[dict[str, str]]:
    """The rows of a CSV file, as a spreadsheet reads them."""
    text = written(ledger, what, FileFormat.CSV, **given).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def table(ledger: Ledger, what: Dataset, **given: Any) -> list[dict[str, Any]]:
    """The rows of a Parquet file."""
    rows: list[dict[str, Any]] = pq.read_table(
        io.BytesIO(written(ledger, what, FileFormat.PARQUET, **given))
    ).to_pylist()
    return rows


def everything(ledger: Ledger) -> list[Call]:
    """All calls."""
    return list(ledger.calls(limit=MAX_PAGE_SIZE).items)


def views(ledger: Ledger, *, full_numbers: bool) -> list[dict[str, Any]]:
    """What /v1/calls shows, by callid."""
    found = [CallView.of(call, full_numbers=full_numbers) for call in everything(ledger)]
    return sorted((view.model_dump(mode="json") for view in found), key=lambda view: str(view["callid"]))


@BOTH
def test_ndjson_is_what_the_api_shows(filled: Ledger, *, full_numbers: bool) -> None:
    """The same fields in the same order with the same values, masked alike."""
    found = lines(filled, Dataset.CALLS, full_numbers=full_numbers)
    assert [list(line) for line in found] == [list(CallView.model_fields)] * 7
    assert sorted(found, key=lambda line: str(line["callid"])) == views(filled, full_numbers=full_numbers)


def test_no_time_is_negative_wherever_it_is_read(ledger: Ledger) -> None:
    """Whatever the vendor's clocks did: views, webhooks, exports and statistics have the same times, and null for what cannot be."""
    times = (None, *(STARTED + timedelta(seconds=seconds) for seconds in (-700, 0, 15, 25)))
    ledger.record(
        [
            received(status(callid=f"c{n}", result=result, started_at=start, answered_at=answer, ended_at=end))
            for n, (result, start, answer, end) in enumerate(product(Result, times, times, times))
        ]
    )
    of_views = {str(view["callid"]): durations(view) for view in views(ledger, full_numbers=True)}
    assert len(of_views) == 3 * 5**3
    reported = [msgspec.to_builtins(call_fields(call)) for call in everything(ledger)]
    assert {str(call["callid"]): durations(call) for call in reported} == of_views
    assert {str(line["callid"]): durations(line) for line in lines(ledger, Dataset.CALLS)} == of_views
    assert {row["callid"]: durations(row) for row in sheet(ledger, Dataset.CALLS)} == of_views
    assert {row["callid"]: durations(row) for row in table(ledger, Dataset.CALLS)} == of_views
    found = ledger.statistics(HourRange(since=NOON, until=NOON + timedelta(hours=1)))
    for known, one in zip(zip(*of_views.values(), strict=True), (found.ring, found.talk), strict=True):
        seconds = [value for value in known if value is not None]
        assert min(seconds) == 0
        assert (one.calls, one.total_s) == (len(seconds), sum(seconds))
        assert min(one.seconds) == 0


def durations(call: dict[str, Any]) -> tuple[int | None, int | None]:
    """Ring and talk time, as numbers."""
    ring, talk = (None if call[name] in (None, "") else int(call[name]) for name in ("ring_seconds", "talk_seconds"))
    return ring, talk


@BOTH
def test_csv_is_read_back_as_what_the_api_shows(filled: Ledger, *, full_numbers: bool) -> None:
    """Each cell is the view's value as text: keys joined, metadata as JSON, an apostrophe before what looks like a formula."""
    rows = {row["callid"]: row for row in sheet(filled, Dataset.CALLS, full_numbers=full_numbers)}
    for view in views(filled, full_numbers=full_numbers):
        row = rows[_safe(view["callid"])]
        assert json.loads(row.pop("metadata") or "null") == view.pop("metadata")
        assert row.pop("keys") == _safe(" ".join(view.pop("keys")))
        assert row == {name: "" if value is None else _safe(value) for name, value in view.items()}


def _safe(value: object) -> str:
    text = str(value)
    is_guarded = text[:1] in ("=", "+", "-", "@") or text == LANDLINE
    return f"'{text}" if isinstance(value, str) and is_guarded else text


def test_no_cell_of_a_sheet_is_a_formula(filled: Ledger) -> None:
    """Whatever the vendor or the business wrote; a number with its + stays readable."""
    rows = sheet(filled, Dataset.CALLS)
    assert not [cell for row in rows for cell in row.values() if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    assert rows[0]["mobile"] == f"'{MOBILE}"
    assert rows[2]["failure_reason"] == '\'=cmd|"/c calc",\r\n1'
    assert (rows[0]["revisions"], rows[0]["fee_minutes"]) == ("0", "1")


@BOTH
def test_parquet_is_read_back_with_its_types(filled: Ledger, *, full_numbers: bool) -> None:
    """Times are aware UTC, numbers are numbers, keys a list."""
    rows = {row["callid"]: row for row in table(filled, Dataset.CALLS, full_numbers=full_numbers)}
    for call in filled.calls(limit=100).items:
        view = CallView.of(call, full_numbers=full_numbers).model_dump()
        row = rows[call.callid]
        assert json.loads(row.pop("metadata") or "null") == view.pop("metadata")
        assert row == view


def workbook(ledger: Ledger, what: Dataset, **given: Any) -> list[dict[str, Any]]:
    """The rows of all sheets of an XLSX file, as openpyxl reads them."""
    book = openpyxl.load_workbook(io.BytesIO(written(ledger, what, FileFormat.XLSX, **given)), read_only=True)
    rows = []
    for one in book:
        head, *cells = one.iter_rows(values_only=True)
        rows += [dict(zip(map(str, head), map(unescaped, row), strict=True)) for row in cells]
    return rows


def unescaped(value: Any) -> Any:
    """A text as Excel reads it; openpyxl leaves what XML cannot spell as it is."""
    return re.sub(r"_x([0-9A-F]{4})_", lambda found: chr(int(found[1], 16)), value) if isinstance(value, str) else value


@BOTH
def test_xlsx_is_read_back_with_its_types(filled: Ledger, *, full_numbers: bool) -> None:
    """Times are times, numbers are numbers, and all else is text, phone numbers and what looks like a formula, too."""
    rows = {row["callid"]: row for row in workbook(filled, Dataset.CALLS, full_numbers=full_numbers)}
    for call in filled.calls(limit=100).items:
        view = CallView.of(call, full_numbers=full_numbers).model_dump()
        row = rows[call.callid]
        assert json.loads(row.pop("metadata") or "null") == view.pop("metadata")
        assert (row.pop("keys") or "").split() == view.pop("keys")
        for name, value in view.items():
            expected = value.replace(tzinfo=None) if isinstance(value, datetime) else value
            if isinstance(expected, datetime):
                assert abs(row[name] - expected) < timedelta(milliseconds=1)
            else:
                assert row[name] == (expected if expected != "" else None), name


EXTREME = "<r>&\"'_x0041_ \x01\x0b\x1f\r\n\ufffe\uffff😀]]></r>"


def test_no_form_refuses_what_the_ledger_holds(ledger: Ledger) -> None:
    """The ends of the calendar, the largest numbers, what XML has no letters for, and texts longer than a cell."""
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    ledger.record(
        [
            received(status(callid="late", mobile=EXTREME, started_at=STARTED, answered_at=last, ended_at=last)),
            received(
                failure(callid="code", code=2**31 - 1, reason=EXTREME), after_s=1, raw=b"\xff\x00" + b"x" * 60_000
            ),
        ]
    )
    delivery_helpers.annotate(
        ledger, "late", reference="😀" * 200, metadata={"text": "😀" * 16_384, "n": 2**63}, at_s=10
    )
    delivery_helpers.annotate(ledger, "code", due_at=datetime(1850, 1, 1, tzinfo=UTC), at_s=11)
    (late, code) = workbook(ledger, Dataset.CALLS)
    assert (late["mobile"], late["answered_at"], late["reference"]) == (EXTREME, last.replace(tzinfo=None), "😀" * 200)
    assert len(late["metadata"].encode("utf-16-le")) // 2 <= 32_767
    assert re.search(r"😀… \(cut: \d+ characters\)$", late["metadata"])
    assert (code["failure_code"], code["failure_reason"], code["due_at"]) == (
        2**31 - 1,
        EXTREME,
        "1850-01-01T00:00:00Z",
    )
    assert [row["mobile"] for row in table(ledger, Dataset.CALLS)] == [EXTREME, "13788888888"]
    assert len(sheet(ledger, Dataset.CALLS)) == len(lines(ledger, Dataset.CALLS)) == 2
    assert str(workbook(ledger, Dataset.CALLBACKS)[1]["raw"]).startswith("�\0xxx")
    assert len(table(ledger, Dataset.CALLBACKS)[1]["raw"]) == 60_002


def test_more_rows_than_a_sheet_holds_go_on_a_further_one(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with the names of the columns; none is lost between them."""
    monkeypatch.setattr("answerback.exports.writers.xlsx.MOST_ROWS", 100)
    ledger.record([received(status(callid=f"c-{n}"), after_s=n) for n in range(300)])
    book = openpyxl.load_workbook(io.BytesIO(written(ledger, Dataset.CALLS, FileFormat.XLSX)))
    assert [one.max_row for one in book] == [100, 100, 100, 4]
    assert [row["callid"] for row in workbook(ledger, Dataset.CALLS)] == [f"c-{n}" for n in range(300)]


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"channel": "alerts"},
        {"mobile": MOBILE},
        {"outcome": Outcome.FAILED},
        {"kind": CallbackKind.KEY},
        {"failure_code": 5},
        {"reference": "r-2"},
        {"since": NOON + timedelta(seconds=2)},
        {"until": NOON + timedelta(seconds=2)},
        {"since": NOON, "until": NOON + timedelta(seconds=3), "outcome": Outcome.FAILED},
        {"failure_code": 5, "since": NOON, "channel": "default"},
        {"mobile": MOBILE, "since": NOON + timedelta(seconds=1)},
        {"reference": "r-2", "mobile": ""},
        {"since": NOON + timedelta(days=1)},
    ],
)
def test_the_filters_are_those_of_the_list(filled: Ledger, filters: dict[str, Any]) -> None:
    """An export holds the calls that the list has, oldest first; of callbacks, theirs."""
    expected = [call.callid for call in reversed(filled.calls(CallFilter(**filters), limit=100).items)]
    assert [line["callid"] for line in lines(filled, Dataset.CALLS, **filters)] == expected
    callbacks = {line["id"]: line["callid"] for line in lines(filled, Dataset.CALLBACKS, **filters)}
    assert callbacks == {
        entry.id: callid for callid in expected for entry in filled.callbacks(callid).items if callid in expected
    }


@BOTH
def test_callbacks_are_what_the_api_shows(filled: Ledger, *, full_numbers: bool) -> None:
    """Each as received, with its call and how often it came again."""
    for line in lines(filled, Dataset.CALLBACKS, full_numbers=full_numbers):
        (entry,) = [entry for entry in filled.callbacks(line["callid"]).items if entry.id == line["id"]]
        view = CallbackView.of(entry, full_numbers=full_numbers).model_dump(mode="json")
        assert {name: view[name] for name in line if name in view} == {n: v for n, v in line.items() if n in view}
    rows = sheet(filled, Dataset.CALLBACKS)
    assert [row["raw"] for row in rows] == [line["raw"] for line in lines(filled, Dataset.CALLBACKS)]
    assert [row["duplicates"] for row in rows] == ["1"] + ["0"] * 7


@BOTH
def test_deliveries_are_what_the_api_shows_and_how_the_last_attempt_went(ledger: Ledger, *, full_numbers: bool) -> None:
    """The delivery's fields, then the last status and error, whatever was tried before."""
    crm = delivery_helpers.endpoint(ledger)
    ledger.record([received(status(callid=f"call-{n}")) for n in range(3)])
    first, second, _ = delivery_helpers.load(ledger, crm)
    delivery_helpers.refuse(ledger, first)
    delivery_helpers.exhaust(ledger, first)
    delivery_helpers.accept(ledger, second)
    found = lines(ledger, Dataset.DELIVERIES, full_numbers=full_numbers)
    last = [(line.pop("last_http_status"), line.pop("last_error")) for line in found]
    known = reversed(ledger.deliveries(DeliveryFilter()).items)
    assert found == [DeliveryView.of(one, full_numbers=full_numbers).model_dump(mode="json") for one in known]
    tried = {one.delivery_id: (one.http_status, one.error) for one in delivery_helpers.tried(ledger)}
    assert last == [tried.get(line["id"], (None, None)) for line in found]
    assert last[2] == (None, None)


@pytest.mark.parametrize(
    "filters",
    [
        {"state": DeliveryState.PENDING},
        {"endpoint_id": 2},
        {"callid": "call-1"},
        {"channel": "alerts"},
        {"callid": "?"},
    ],
)
def test_the_filters_of_deliveries_are_those_of_the_list(ledger: Ledger, filters: dict[str, Any]) -> None:
    """The same deliveries, oldest first."""
    crm = delivery_helpers.endpoint(ledger)
    delivery_helpers.endpoint(ledger, "other", channel="alerts")
    for channel in ("default", "alerts"):
        ledger.record([received(status(callid=f"call-{n}"), channel=channel) for n in range(3)])
    delivery_helpers.accept(ledger, delivery_helpers.load(ledger, crm)[0])
    expected = [one.id for one in reversed(ledger.deliveries(DeliveryFilter(**filters)).items)]
    assert [line["id"] for line in lines(ledger, Dataset.DELIVERIES, **filters)] == expected


def test_statistics_are_the_calls_by_hour_channel_kind_and_outcome(filled: Ledger) -> None:
    """They come to what the calls come to."""
    counted: Counter[tuple[Any, ...]] = Counter()
    minutes: Counter[tuple[Any, ...]] = Counter()
    for call in filled.calls(limit=100).items:
        hour = call.first_seen_at.replace(minute=0, second=0, microsecond=0)
        key = (f"{hour:%Y-%m-%dT%H:%M:%SZ}", call.channel, call.kind, call.outcome)
        counted[key] += 1
        minutes[key] += call.fee_minutes or 0
    found = lines(filled, Dataset.STATISTICS)
    by_key = {(line["hour"], line["channel"], line["kind"], line["outcome"]): line for line in found}
    assert {key: line["calls"] for key, line in by_key.items()} == counted
    assert {key: line["fee_minutes"] for key, line in by_key.items()} == {key: minutes[key] for key in counted}
    assert len(by_key) == len(found)
    assert {line["channel"] for line in lines(filled, Dataset.STATISTICS, channel="alerts")} == {"alerts"}
    assert lines(filled, Dataset.STATISTICS, since=NOON + timedelta(hours=1)) == []


@pytest.mark.parametrize("what", list(Dataset))
@pytest.mark.parametrize("form", list(FileFormat))
def test_nothing_is_a_file_of_nothing(ledger: Ledger, what: Dataset, form: FileFormat) -> None:
    """An empty ledger gives a file that can be read: the names of the columns, where the form has any."""
    if form is FileFormat.CSV:
        assert sheet(ledger, what) == []
    elif form is FileFormat.PARQUET:
        assert table(ledger, what) == []
    else:
        assert lines(ledger, what) == []


def _more_than_two_pages(ledger: Ledger) -> list[str]:
    """More calls than fit a page, many of them first seen at the same time; their callids, in order."""
    callids = [f"call-{n}" for n in range(PAGE * 2 + 17)]
    ledger.record([received(status(callid=callid), after_s=n // 100) for n, callid in enumerate(callids)])
    return callids


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("filters", [{}, {"since": datetime(2020, 1, 1, tzinfo=UTC)}, {"mobile": "13788888888"}])
def test_pages_have_no_gaps_and_no_doubles(ledger: Ledger, filters: dict[str, Any]) -> None:
    """Whatever is asked for, every call is there once, in order."""
    callids = _more_than_two_pages(ledger)
    assert [row["callid"] for row in lines(ledger, Dataset.CALLS, **filters)] == callids


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("read", [sheet, workbook, table])
def test_pages_make_one_file(read: Callable[..., list[dict[str, Any]]]) -> None:
    """In every form; which store they come from is nothing to it."""
    with lent_store("sqlite") as store:
        callids = _more_than_two_pages(store.ledger)
        assert [row["callid"] for row in read(store.ledger, Dataset.CALLS)] == callids


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("filters", [{}, {"since": datetime(2020, 1, 1, tzinfo=UTC)}])
def test_calls_that_were_there_come_once_while_others_are_written(ledger: Ledger, filters: dict[str, Any]) -> None:
    """New calls, and callbacks that change old ones, neither hide a call nor show it twice."""
    count = PAGE * 12
    ledger.record([received(key_press(callid=f"call-{n}"), after_s=n / 1000) for n in range(count)])
    export = Export.of(Dataset.CALLS, FileFormat.CSV, filters, full_numbers=True)
    with _writing(ledger, count):
        found = Counter(row[0] for page in iter_pages(ledger, export) for row in page.rows)
    assert [found[f"call-{n}"] for n in range(count)] == [1] * count
    assert set(found.values()) == {1}


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("reads", [1, 2, 3])
@pytest.mark.parametrize("filters", [{}, {"since": datetime(2020, 1, 1, tzinfo=UTC)}, {"mobile": "13788888888"}])
def test_what_is_deleted_meanwhile_is_left_out(ledger: Ledger, filters: dict[str, Any], reads: int) -> None:
    """Whichever read of it retention comes behind: an export ends in due form, with calls that were there, each once."""
    callids = _more_than_two_pages(ledger)
    reader: Any = _Pruning(ledger, reads)
    export = Export.of(Dataset.CALLS, FileFormat.NDJSON, filters, full_numbers=True)
    rows = b"".join(chunk.data for chunk in iter_export(reader, export)).splitlines()
    found = [json.loads(row)["callid"] for row in rows]
    assert reader.is_pruned
    assert sorted(set(found), key=callids.index) == found
    assert len(found) < len(callids)


class _Pruning:
    """A ledger that deletes all that it may, once so many reads are done."""

    def __init__(self, ledger: Ledger, reads: int) -> None:
        self._ledger, self._left = ledger, reads
        self.is_pruned = False

    def read(self, *work: Any, **arguments: Any) -> Any:
        found = self._ledger.read(*work, **arguments)
        self._left -= 1
        if not self._left:
            prune(self._ledger, calls_days=30)
            self.is_pruned = True
        return found


class _writing:  # noqa: N801  # reads as a statement
    """Write callbacks of old and new calls in another thread, as long as the block lasts."""

    def __init__(self, ledger: Ledger, count: int) -> None:
        self._ledger, self._count = ledger, count
        self._over = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> None:
        self._thread.start()
        assert self._begun.wait(10)

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _write(self) -> None:
        for n in self._numbers():
            again = received(status(callid=f"call-{n * 97 % self._count}"), after_s=n)
            self._ledger.record([again, received(status(callid=f"new-{n}"), after_s=n / 1000)])
            self._begun.set()

    def _numbers(self) -> Iterator[int]:
        n = 0
        while not self._over.is_set():
            yield n
            n += 1


@pytest.mark.usefixtures("small_pages")
def test_no_read_lasts_longer_than_a_page(tmp_path: Path) -> None:
    """Between two pages nothing is being read, so SQLite can move its whole log into the file."""
    with closing(sqlite(tmp_path)()) as ledger:
        ledger.record([received(status(callid=f"call-{n}")) for n in range(PAGE * 2)])
        pages = iter_pages(ledger, Export(dataset=Dataset.CALLS, format=FileFormat.CSV))
        first = next(pages)
        ledger.record([received(status(callid="another"))])
        with ledger.engine.connect() as connection:
            busy, in_log, moved = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
            connection.rollback()
        assert (busy, in_log, moved) == (0, 0, 0)
        assert len(first.rows) + sum(len(page.rows) for page in pages) == PAGE * 2
