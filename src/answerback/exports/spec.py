"""What somebody wants a file of, and in which form: values that can be sent."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from importlib.util import find_spec
from typing import Any

import msgspec

from answerback.errors import ExtraMissing, UnfitExport
from answerback.ledger import Opening
from answerback.ledger.admin.audit import filter_text
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.read.deliveries import DeliveryFilter


class What(StrEnum):
    """What can be exported."""

    CALLS = "calls"
    CALLBACKS = "callbacks"
    DELIVERIES = "deliveries"
    STATISTICS = "statistics"


class FileFormat(StrEnum):
    """The forms of a file; the value is the end of its name."""

    CSV = "csv"
    NDJSON = "ndjson"
    XLSX = "xlsx"
    PARQUET = "parquet"

    @property
    def is_text(self) -> bool:
        """Whether a terminal can show it."""
        return self in (FileFormat.CSV, FileFormat.NDJSON)

    @property
    def media_type(self) -> str:
        """What HTTP calls it."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    FileFormat.CSV: "text/csv; charset=utf-8",
    FileFormat.NDJSON: "application/x-ndjson",
    FileFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    FileFormat.PARQUET: "application/vnd.apache.parquet",
}
_OF_STATISTICS = ("channel", "kind", "since", "until")
_FIELDS: Mapping[What, tuple[str, ...]] = {
    What.CALLS: CallFilter.__struct_fields__,
    What.CALLBACKS: CallFilter.__struct_fields__,
    What.DELIVERIES: DeliveryFilter.__struct_fields__,
    What.STATISTICS: _OF_STATISTICS,
}


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is to be: `calls` filters all but deliveries; of callbacks, it says whose."""

    what: What
    format: FileFormat
    calls: CallFilter = CallFilter()
    deliveries: DeliveryFilter = DeliveryFilter()
    full_numbers: bool = False

    @classmethod
    def of(cls, what: What, file_format: FileFormat, filters: Mapping[str, Any], *, full_numbers: bool) -> "Export":
        """Build it from the filters that are given; None is not.

        Raises UnfitExport where `what` has no such filter, ExtraMissing where the format needs what is not installed.
        """
        require(file_format)
        given = {name: value for name, value in filters.items() if value is not None}
        for name in given:
            if name not in _FIELDS[what]:
                known = ", ".join(map(_spelled_out, _FIELDS[what]))
                raise UnfitExport(_spelled_out(name), f"{what} cannot be chosen by it, only by {known}")
        if what is What.DELIVERIES:
            return cls(what=what, format=file_format, deliveries=DeliveryFilter(**given), full_numbers=full_numbers)
        return cls(what=what, format=file_format, calls=CallFilter(**given), full_numbers=full_numbers)

    @property
    def file_name(self) -> str:
        """What the file is called where nobody says."""
        return f"{self.what}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{self.format}"

    @property
    def about(self) -> str:
        """The export in a few words without the number that is looked for, for the audit log, which cuts off what is long."""
        chosen = self.deliveries if self.what is What.DELIVERIES else self.calls
        numbers = "full numbers" if self.full_numbers else "masked numbers"
        return " ".join(filter(None, [f"{self.what}.{self.format}", numbers, filter_text(chosen)]))


class Task(msgspec.Struct, frozen=True):
    """An export, and the ledger that it is of."""

    opening: Opening
    export: Export


def require(file_format: FileFormat) -> None:
    """Raises ExtraMissing where the format needs a library that is not installed."""
    if file_format is FileFormat.PARQUET and find_spec("pyarrow") is None:
        raise ExtraMissing('parquet needs pyarrow: pip install "answerback[parquet]"')


def _spelled_out(name: str) -> str:
    """A filter's name as readers know it."""
    return name.removesuffix("_id")
