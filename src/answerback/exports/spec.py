"""What somebody wants a file of, and in which form: values that can be sent."""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

import msgspec

from answerback.domain.exports import Dataset, FileFormat
from answerback.errors import InvalidExportFilter, MissingExtra
from answerback.ledger import LedgerConfig
from answerback.ledger.admin.audit import filter_text
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.read.deliveries import DeliveryFilter

_STATISTICS_FIELDS = ("channel", "kind", "since", "until")
_FIELDS: Mapping[Dataset, tuple[str, ...]] = {
    Dataset.CALLS: CallFilter.__struct_fields__,
    Dataset.CALLBACKS: CallFilter.__struct_fields__,
    Dataset.DELIVERIES: DeliveryFilter.__struct_fields__,
    Dataset.STATISTICS: _STATISTICS_FIELDS,
}


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is to be: `calls` filters all but deliveries; of callbacks, it says whose."""

    dataset: Dataset
    format: FileFormat
    calls: CallFilter = CallFilter()
    deliveries: DeliveryFilter = DeliveryFilter()
    full_numbers: bool = False

    @classmethod
    def of(
        cls, dataset: Dataset, file_format: FileFormat, filters: Mapping[str, Any], *, full_numbers: bool
    ) -> "Export":
        """Build it from the filters that are given; None is not.

        Raises InvalidExportFilter where `dataset` has no such filter, MissingExtra where the format needs what is not installed.
        """
        require_extra(file_format)
        present = {name: value for name, value in filters.items() if value is not None}
        for name in present:
            if name not in _FIELDS[dataset]:
                known = ", ".join(map(_filter_name, _FIELDS[dataset]))
                raise InvalidExportFilter(_filter_name(name), f"{dataset} cannot be filtered by it, only by {known}")
        if dataset is Dataset.DELIVERIES:
            return cls(
                dataset=dataset, format=file_format, deliveries=DeliveryFilter(**present), full_numbers=full_numbers
            )
        return cls(dataset=dataset, format=file_format, calls=CallFilter(**present), full_numbers=full_numbers)

    @property
    def file_name(self) -> str:
        """What the file is called where nobody says."""
        return f"{self.dataset}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{self.format}"

    @property
    def audit_summary(self) -> str:
        """The export in a few words without the number that is looked for, for the audit log, which cuts off what is long."""
        chosen = self.deliveries if self.dataset is Dataset.DELIVERIES else self.calls
        numbers = "full numbers" if self.full_numbers else "masked numbers"
        return " ".join(filter(None, [f"{self.dataset}.{self.format}", numbers, filter_text(chosen)]))


class ExportJob(msgspec.Struct, frozen=True):
    """An export, and the ledger that it is of."""

    ledger_config: LedgerConfig
    export: Export


def require_extra(file_format: FileFormat) -> None:
    """Raises MissingExtra where the format needs a library that is not installed."""
    if file_format is FileFormat.PARQUET and find_spec("pyarrow") is None:
        raise MissingExtra('parquet needs pyarrow: pip install "answerback[parquet]"')


def _filter_name(name: str) -> str:
    return name.removesuffix("_id")
