"""What the API needs of the others."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from answerback.ledger import Entry, Page, Quarantined
from answerback.ledger.query import CallFilter
from answerback.model import Call


class Health(Protocol):
    """Whether callbacks can be stored, and how many wait."""

    pending: int

    @property
    def failure(self) -> str | None:
        """Why nothing can be stored now, or None."""


class Buckets(Protocol):
    """A histogram's numbers; `counts` has one more than `bounds`, for what is above them all."""

    @property
    def bounds(self) -> tuple[float, ...]:
        """The upper bounds, rising."""

    @property
    def counts(self) -> Sequence[int]:
        """How many observations fell up to each bound, and above the last."""

    @property
    def total(self) -> float:
        """The sum of all observations."""


class Meter(Protocol):
    """What the intake counts."""

    commit_failures: int
    timeouts: int

    @property
    def answers(self) -> Mapping[tuple[str, int], int]:
        """Answers by kind and result."""

    @property
    def taken(self) -> Mapping[str, int]:
        """Callbacks by what the ledger did with them."""

    @property
    def answer_latency_s(self) -> Buckets:
        """From request to answer."""

    @property
    def commit_latency_s(self) -> Buckets:
        """One batch's commit."""

    @property
    def batch_sizes(self) -> Buckets:
        """Callbacks in one commit."""


class Shelf(Protocol):
    """The reading side of the ledger."""

    def call(self, callid: str, channel: str | None = None) -> Call:
        """One call. Raises NotFound, AmbiguousCall."""

    def callbacks(self, callid: str, channel: str | None = None) -> list[Entry]:
        """Its callbacks, in order."""

    def calls(self, wanted: CallFilter | None = None, cursor: str | None = None, limit: int = 50) -> Page[Call]:
        """A page of calls, newest first."""

    def quarantined(self, channel: str | None = None, cursor: str | None = None, limit: int = 50) -> Page[Quarantined]:
        """A page of refused bodies, newest first."""

    def quarantined_body(self, id_: int) -> Quarantined:
        """One refused body. Raises NotFound."""

    def quarantine_size(self) -> tuple[int, int]:
        """How many bodies, how many bytes."""
