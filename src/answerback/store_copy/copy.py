"""One run of a copy: bring each table up to the source's, compare, and say how things stand."""

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

import msgspec

from answerback.store_copy import preflight
from answerback.store_copy.activity import WriteWatch, live_instances
from answerback.store_copy.connection import StoreConnection
from answerback.store_copy.locations import StoreLocation
from answerback.store_copy.pair import open_pair, record_copy
from answerback.store_copy.table_sync import OnProgress, TableSyncResult, sync_table
from answerback.store_copy.tables import TABLE_SPECS, TableSpec
from answerback.store_copy.verification import VerifyResult, verify

T = TypeVar("T")


class ProgressReporter(Protocol):
    """Whoever is shown how far it is."""

    def begin_stage(self, stage: str, rows: int) -> None:
        """A stage over so many rows begins."""

    def advance_rows(self, table: str, rows: int) -> None:
        """So many rows of a table are done."""


class CopyResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run.

    `source_changed`: the source was being written meanwhile, by the gateways `served_by`, if they are known. `ready`: the
    target is whole, and may be served.
    """

    synced: dict[str, TableSyncResult]
    verified: dict[str, VerifyResult]
    source_changed: bool
    served_by: list[str]
    ready: bool

    @property
    def has_differences(self) -> bool:
        """Whether some table is not the same in both."""
        return any(table.difference for table in self.verified.values())


class CopyJob(msgspec.Struct, frozen=True, kw_only=True):
    """A copy from one place to another; `verifies` all rows at its end, or only compares what can change on its way."""

    source: StoreLocation
    target: StoreLocation
    verifies: bool = True
    allow_unsafe: bool = False

    def run(self, progress: ProgressReporter) -> CopyResult:
        """Copy, or go on with it. Safe to be killed and run again at any time. Raises AnswerbackError."""
        with open_pair(self.source, self.target, writes=True, allow_unsafe=self.allow_unsafe) as (source, target):
            preflight.lock_target(source, target)
            record_copy(self.source, self.target)
            watch = WriteWatch(source)
            synced = _each_table(source, target, progress, "copying", sync_table)
            verified = _each_table(source, target, progress, "comparing", verify) if self.verifies else {}
            target.reset_sequences()
            result = _result(source, watch, synced, verified)
            if result.ready:
                preflight.unlock_target(target)
            return result

    def verify(self, progress: ProgressReporter) -> CopyResult:
        """Only compare. Raises AnswerbackError."""
        with open_pair(self.source, self.target, writes=False, allow_unsafe=self.allow_unsafe) as (source, target):
            watch = WriteWatch(source)
            return _result(source, watch, {}, _each_table(source, target, progress, "comparing", verify))


def _result(
    source: StoreConnection, watch: WriteWatch, synced: dict[str, TableSyncResult], verified: dict[str, VerifyResult]
) -> CopyResult:
    written = watch.has_changed()
    return CopyResult(
        synced=synced,
        verified=verified,
        source_changed=written,
        served_by=[f"{seen.instance.host}, process {seen.instance.pid}" for seen in live_instances(source)],
        ready=not written and not any(table.difference for table in verified.values()),
    )


def _each_table(
    source: StoreConnection,
    target: StoreConnection,
    progress: ProgressReporter,
    stage: str,
    work: Callable[[StoreConnection, StoreConnection, TableSpec, OnProgress], T],
) -> dict[str, T]:
    progress.begin_stage(stage, sum(source.count(spec) for spec in TABLE_SPECS))
    return {spec.name: work(source, target, spec, partial(progress.advance_rows, spec.name)) for spec in TABLE_SPECS}
