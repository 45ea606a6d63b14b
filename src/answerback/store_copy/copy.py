"""One run of a copy: bring each table up to the source's, compare, and say how things stand."""

from typing import Protocol

import msgspec

from answerback.store_copy import preflight
from answerback.store_copy.activity import Watch, living
from answerback.store_copy.connection import Side
from answerback.store_copy.locations import Place
from answerback.store_copy.pair import opened, record_copy
from answerback.store_copy.table_sync import Carried, carry
from answerback.store_copy.tables import SHAPES
from answerback.store_copy.verification import Verified, verify


class Shown(Protocol):
    """Whoever is shown how far it is."""

    def begin(self, stage: str, rows: int) -> None:
        """A stage over so many rows begins."""

    def move(self, table: str, rows: int) -> None:
        """So many rows of a table are done."""


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run.

    `written`: the source was being written meanwhile, by the gateways `served_by` where they can be told. `ready`: the
    target is whole, and may be served.
    """

    carried: dict[str, Carried]
    verified: dict[str, Verified]
    written: bool
    served_by: list[str]
    ready: bool

    @property
    def different(self) -> bool:
        """Whether some table is not the same in both."""
        return any(table.difference for table in self.verified.values())


class Copying(msgspec.Struct, frozen=True, kw_only=True):
    """A copy from one place to another; `verifies` all rows at its end, or only compares what can change on its way."""

    source: Place
    target: Place
    verifies: bool = True
    allow_unsafe: bool = False

    def run(self, shown: Shown) -> Copied:
        """Copy, or go on with it. Safe to be killed and run again at any time. Raises AnswerbackError."""
        with opened(self.source, self.target, writes=True, allow_unsafe=self.allow_unsafe) as (source, target):
            preflight.shut(source, target)
            record_copy(self.source, self.target)
            watch = Watch(source)
            carried = _carry_all(source, target, shown)
            verified = _verify_all(source, target, shown) if self.verifies else {}
            preflight.settle(target)
            copied = _outcome(source, watch, carried, verified)
            if copied.ready:
                preflight.finish(target)
            return copied

    def verify(self, shown: Shown) -> Copied:
        """Only compare. Raises AnswerbackError."""
        with opened(self.source, self.target, writes=False, allow_unsafe=self.allow_unsafe) as (source, target):
            watch = Watch(source)
            return _outcome(source, watch, {}, _verify_all(source, target, shown))


def _outcome(source: Side, watch: Watch, carried: dict[str, Carried], verified: dict[str, Verified]) -> Copied:
    written = watch.written()
    return Copied(
        carried=carried,
        verified=verified,
        written=written,
        served_by=[f"{seen.member.host}, process {seen.member.pid}" for seen in living(source)],
        ready=not written and not any(table.difference for table in verified.values()),
    )


def _carry_all(source: Side, target: Side, shown: Shown) -> dict[str, Carried]:
    shown.begin("copying", sum(source.count(shape) for shape in SHAPES))
    return {
        shape.name: carry(source, target, shape, lambda rows, name=shape.name: shown.move(name, rows))  # type: ignore[misc]  # the name is bound
        for shape in SHAPES
    }


def _verify_all(source: Side, target: Side, shown: Shown) -> dict[str, Verified]:
    shown.begin("comparing", sum(source.count(shape) for shape in SHAPES))
    return {
        shape.name: verify(source, target, shape, lambda rows, name=shape.name: shown.move(name, rows))  # type: ignore[misc]  # as above
        for shape in SHAPES
    }
