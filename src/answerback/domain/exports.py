"""What can be exported, and as which file."""

from enum import StrEnum


class Dataset(StrEnum):
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
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    FileFormat.CSV: "text/csv; charset=utf-8",
    FileFormat.NDJSON: "application/x-ndjson",
    FileFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    FileFormat.PARQUET: "application/vnd.apache.parquet",
}
