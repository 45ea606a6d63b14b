"""What the API and the console need of the others."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from sqlalchemy.engine import Connection

from answerback.ledger import Entry, Page, Quarantined, Taken
from answerback.ledger.audit import Actor, AuditEvent
from answerback.ledger.history import DeliveryFilter, Owed
from answerback.ledger.query import CallFilter
from answerback.ledger.references import Reference, Referred
from answerback.ledger.requests import Request
from answerback.ledger.stats import Span
from answerback.model import AlertState, ApiKey, Attempt, Call, Definition, Delivery, Endpoint
from answerback.statistics import Statistics

T = TypeVar("T")


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
    set_aside: int
    stalled_readers: int

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
    def loop_lag_s(self) -> Buckets:
        """By how much later than asked for the event loop comes to something."""

    @property
    def batch_sizes(self) -> Buckets:
        """Callbacks in one commit."""


class Shelf(Protocol):
    """The reading side of the ledger."""

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do `work`, which only reads. Raises LedgerUnavailable."""

    def call(self, callid: str, channel: str | None = None) -> Call:
        """One call. Raises NotFound, AmbiguousCall."""

    def callbacks(
        self, callid: str, channel: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[Entry]:
        """A page of its callbacks, in order. Raises NotFound, AmbiguousCall, InvalidCursor."""

    def calls(self, wanted: CallFilter | None = None, cursor: str | None = None, limit: int = 50) -> Page[Call]:
        """A page of calls, newest first."""

    def statistics(self, span: Span) -> Statistics:
        """What the calls of a span come to."""

    def differing(self, span: Span, cursor: str | None = None, limit: int = 50) -> Page[Call]:
        """A page of the calls whose fee is not what is due, newest first. Raises InvalidCursor."""

    def quarantined(self, channel: str | None = None, cursor: str | None = None, limit: int = 50) -> Page[Quarantined]:
        """A page of refused bodies, newest first."""

    def quarantined_body(self, id_: int) -> Quarantined:
        """One refused body. Raises NotFound."""

    def quarantined_ids(self) -> list[int]:
        """Every refused body's id, oldest first."""

    def quarantine_size(self) -> tuple[int, int]:
        """How many bodies, how many bytes."""

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint, by name."""

    def endpoint(self, name: str) -> Endpoint:
        """One endpoint, by its name or id. Raises NotFound."""

    def owed(self) -> dict[int, Owed]:
        """Endpoint id -> what it is owed."""

    def deliveries(self, wanted: DeliveryFilter, cursor: str | None = None, limit: int = 50) -> Page[Delivery]:
        """A page of deliveries, newest first."""

    def delivery(self, id_: int) -> tuple[Delivery, list[Attempt]]:
        """One delivery and its last attempts. Raises NotFound."""

    def keys(self) -> list[ApiKey]:
        """Every API key that was not revoked, by name."""

    def audit_events(self, cursor: str | None = None, limit: int = 50) -> Page[AuditEvent]:
        """A page of who did what, newest first."""


class Writer(Protocol):
    """The writing side of the ledger."""

    def ask(self, request: Request[T]) -> Awaitable[T]:
        """Have a request carried out. Raises LedgerUnavailable, and the request's own errors."""


class Stream(Protocol):
    """What the stream's ends count in this process."""

    drained_batches: int
    skipped_batches: int
    unreadable_batches: int
    left_batches: int
    lag_s: float
    held_batches: int

    @property
    def ack_latency_s(self) -> Buckets:
        """From the publication of a batch to its acknowledgement."""

    @property
    def failovers(self) -> Mapping[str, int]:
        """Batches that went to another shard as well, by the one that did not acknowledge in time."""

    @property
    def drained_callbacks(self) -> Mapping[Taken, int]:
        """By what the ledger did."""

    @property
    def pending(self) -> Mapping[str, int]:
        """Batches that wait, by shard."""

    @property
    def oldest_us(self) -> Mapping[str, int | None]:
        """When the oldest batch that a shard still holds was stored there, by shard; None where it holds none."""


class Told(Protocol):
    """The answer to one body that was handed in."""

    @property
    def result(self) -> int:
        """By the contract: 0 is stored."""

    @property
    def errmsg(self) -> str:
        """What is wrong, else OK."""


class Submission(Protocol):
    """The way in for callbacks that are handed in by the API."""

    def take(self, channel: str, bodies: Sequence[bytes]) -> Awaitable[Sequence[Told]]:
        """Store each body durably; what each is answered, in order."""


class Tried(Protocol):
    """What an attempt came to."""

    @property
    def duration_us(self) -> int:
        """From the first byte out to the last byte in."""

    @property
    def status(self) -> int | None:
        """Of HTTP, or None where there was no answer."""

    @property
    def answer(self) -> bytes:
        """Its first bytes."""

    @property
    def error(self) -> str | None:
        """In plain words, or None where it was accepted."""


class Registry(Protocol):
    """The endpoints: a change has taken effect when it returns."""

    def find(self, name: str) -> Endpoint:
        """One by name or id. Raises NotFound."""

    async def refresh(self) -> None:
        """Learn of the changes that other processes made until now. Raises LedgerUnavailable."""

    async def add(
        self,
        actor: Actor,
        name: str | None,
        channel: str,
        definition: Definition,
        *,
        enabled: bool,
        secret: str | None,
    ) -> Endpoint:
        """Add one. Raises Forbidden, UnfitEndpoint, Conflict."""

    async def change(self, actor: Actor, name: str, channel: str | None, definition: Definition | None) -> Endpoint:
        """Change one. Raises NotFound, Forbidden, UnfitEndpoint, Conflict."""

    async def switch(self, actor: Actor, name: str, *, on: bool) -> Endpoint:
        """Switch one on or off. Raises NotFound."""

    async def rotate_secret(self, actor: Actor, name: str, secret: str | None = None) -> Endpoint:
        """Give one a new secret. Raises NotFound, UnfitEndpoint."""

    async def remove(self, actor: Actor, name: str) -> None:
        """Remove one. Raises NotFound, Conflict."""

    async def test(self, actor: Actor, name: str) -> Tried:
        """Try one. Raises NotFound."""


class Replayed(Protocol):
    """A replay and its progress."""

    id: int
    endpoint: str
    of: str
    total: int
    examined: int
    replayed: int
    error: str | None
    began_at: datetime

    @property
    def stage(self) -> str:
        """How far it is."""


class Replays(Protocol):
    """Telling again."""

    def find(self, id_: int) -> Replayed:
        """One by its id. Raises NotFound."""

    async def one(self, actor: Actor, delivery_id: int) -> None:
        """Tell one delivery again. Raises NotFound, Forbidden, Conflict."""

    async def dead(self, actor: Actor, endpoint: Endpoint) -> Replayed:
        """Begin to tell what is dead. Raises Forbidden."""

    async def calls(self, actor: Actor, endpoint: Endpoint, wanted: CallFilter) -> Replayed:
        """Begin to tell everything about some calls. Raises Forbidden."""


class RelayMeter(Protocol):
    """What the relay counts."""

    @property
    def attempts(self) -> Mapping[tuple[str, str], int]:
        """By endpoint and result."""

    @property
    def attempt_latency_s(self) -> Mapping[str, Buckets]:
        """By endpoint."""

    @property
    def lag_s(self) -> Buckets:
        """From stored to delivered."""

    @property
    def paused(self) -> Mapping[str, int]:
        """The endpoints that are left alone now."""


class Relay(Protocol):
    """Who is told, and again."""

    @property
    def active(self) -> bool:
        """Whether this gateway tells them; else another one on this ledger does."""

    @property
    def manages(self) -> bool:
        """Whether endpoints can be changed here, and told again."""

    @property
    def meter(self) -> RelayMeter:
        """Its numbers."""

    @property
    def endpoints(self) -> Registry:
        """The endpoints. Raises Conflict where another gateway relays."""

    @property
    def replays(self) -> Replays:
        """Telling again. Raises Conflict where another gateway relays."""

    async def refer(self, callid: str, channel: str | None, said: Reference) -> Referred:
        """Keep what the business says of a call. Raises AmbiguousCall, NotFound."""


class Alerts(Protocol):
    """What people are alerted of."""

    def states(self) -> list[AlertState]:
        """Every rule as it stands, by name. It may read the ledger: not for the event loop. Raises LedgerUnavailable."""
