"""`LocalGateway`: what this machine's ledger holds, in the shapes of `answerback.Client`; no gateway has to run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack
from zoneinfo import ZoneInfo

from answerback.api.status_view import build_status_view
from answerback.auth.api_keys import draft_api_key, validate_key_name
from answerback.cli.local_ledger import LocalLedger
from answerback.config import Settings
from answerback.domain.exports import Dataset, FileFormat
from answerback.domain.models import CallbackKind, Role
from answerback.domain.statistics import RangeName
from answerback.errors import ConfigError, ResourceNotFound
from answerback.ledger import Ledger
from answerback.ledger.admin.audit import CLI_ACTOR, AuditAction, filter_text
from answerback.ledger.commands import (
    CreateKey,
    DeleteQuarantined,
    RecordAuditEvent,
    RequeueQuarantined,
    RevokeKey,
)
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.read.cluster_status import read_cluster_status
from answerback.ledger.read.deliveries import DeliveryFilter
from answerback.ledger.read.statistics import select_hours
from answerback.schemas.alerts import AlertView
from answerback.schemas.callbacks import CallbackView, QuarantinedBodyView, QuarantinedView, RequeueView
from answerback.schemas.calls import CallView
from answerback.schemas.cluster import StatusView
from answerback.schemas.deliveries import DeliveryView, DeliveryWithAttemptsView
from answerback.schemas.endpoints import EndpointView
from answerback.schemas.keys import CreatedKeyView, KeyView
from answerback.schemas.statistics import StatisticsView, default_step
from answerback.schemas.view import PageView
from answerback.service.ledger_config import open_for_reading

if TYPE_CHECKING:
    from answerback.client.parameters import CallPaging, DeliveryPaging, ExportFilter, Paging, StatisticsRange
    from answerback.exports import Export

T = TypeVar("T")


@contextmanager
def open_local(settings: Settings, *, full_numbers: bool = False) -> Iterator["LocalGateway"]:
    """Open the ledger of this machine. With `full_numbers`, each reading is in the audit log. Raises AnswerbackError."""
    with open_for_reading(settings) as ledger:
        yield LocalGateway(LocalLedger(ledger, settings, full_numbers=full_numbers))


class LocalPages(Generic[T]):
    """A list: its items in order, read page by page as they are asked for."""

    def __init__(
        self, read: Callable[[str | None, int], PageView[T]], *, cursor: str | None = None, page_size: int = 50
    ) -> None:
        self._read = read
        self._cursor = cursor
        self._page_size = page_size

    def first(self) -> PageView[T]:
        """The page that the list starts with, alone."""
        return self._read(self._cursor, self._page_size)

    def __iter__(self) -> Iterator[T]:
        page = self.first()
        yield from page.items
        while page.next_cursor is not None:
            page = self._read(page.next_cursor, self._page_size)
            yield from page.items


class _LocalResource:
    """Operations on one reader."""

    def __init__(self, reader: LocalLedger) -> None:
        self._reader = reader

    def _view(self, view: Callable[..., T]) -> Callable[[Any], T]:
        return partial(view, full_numbers=self._reader.full_numbers)


class LocalCalls(_LocalResource):
    def list(self, **filters: "Unpack[CallPaging]") -> LocalPages[CallView]:
        """Calls, newest first."""
        paging, wanted = _split_paging(filters)
        chosen = CallFilter(**wanted)

        def read(cursor: str | None, limit: int) -> PageView[CallView]:
            page = self._reader.calls_ledger.calls(chosen, cursor, limit)
            self._reader.reveal(len(page.items), "calls", filter_text(chosen))
            return PageView.of(page, self._view(CallView.of))

        return LocalPages(read, **paging)

    def get(self, callid: str, *, channel: str | None = None) -> CallView:
        """A call. Raises ResourceNotFound, AmbiguousCall."""
        call = self._reader.calls_ledger.call(callid, channel)
        self._reader.reveal("call", call.callid, f"({call.channel})")
        return self._view(CallView.of)(call)

    def callbacks(
        self, callid: str, *, channel: str | None = None, **paging: "Unpack[Paging]"
    ) -> LocalPages[CallbackView]:
        """A call's callbacks as they were received, in order."""

        def read(cursor: str | None, limit: int) -> PageView[CallbackView]:
            page = self._reader.calls_ledger.callbacks(callid, channel, cursor, limit)
            self._reader.reveal("callbacks of call", callid)
            return PageView.of(page, self._view(CallbackView.of))

        return LocalPages(read, **paging)


class LocalDeliveries(_LocalResource):
    def list(self, **filters: "Unpack[DeliveryPaging]") -> LocalPages[DeliveryView]:
        """Deliveries, newest first."""
        ledger = self._reader.calls_ledger
        paging, wanted = _split_paging(filters)
        chosen = DeliveryFilter(**_with_endpoint_id(ledger, wanted))
        return LocalPages(
            lambda cursor, limit: PageView.of(ledger.deliveries(chosen, cursor, limit), self._view(DeliveryView.of)),
            **paging,
        )

    def get(self, id: int) -> DeliveryWithAttemptsView:
        """A delivery with its attempts. Raises ResourceNotFound."""
        delivery, attempts = self._reader.calls_ledger.delivery(id)
        self._reader.reveal("delivery", delivery.id)
        return DeliveryWithAttemptsView.with_attempts(delivery, attempts, full_numbers=self._reader.full_numbers)


class LocalQuarantine(_LocalResource):
    def list(self, *, channel: str | None = None, **paging: "Unpack[Paging]") -> LocalPages[QuarantinedView]:
        """Quarantined bodies, newest first."""
        ledger = self._reader.calls_ledger

        def read(cursor: str | None, limit: int) -> PageView[QuarantinedView]:
            return PageView.of(ledger.quarantined(channel, cursor, limit), self._view(QuarantinedView.of))

        return LocalPages(read, **paging)

    def get(self, id: int) -> QuarantinedBodyView:
        """A quarantined body with its bytes. Raises ResourceNotFound."""
        body = self._reader.calls_ledger.quarantined_body(id)
        self._reader.reveal("quarantined body", id)
        return self._view(QuarantinedBodyView.with_body)(body)

    def requeue(self, id: int) -> RequeueView:
        """Parse a body again. Raises ResourceNotFound."""
        requeued = RequeueQuarantined(CLI_ACTOR, id).run(self._reader.ledger)
        disposition = None if requeued.disposition is None else requeued.disposition.name.lower()
        return RequeueView.read_from(requeued, full_numbers=self._reader.full_numbers, id=id, disposition=disposition)

    def delete(self, id: int) -> None:
        """Delete a body for good. Raises ResourceNotFound."""
        if not DeleteQuarantined(CLI_ACTOR, [id]).run(self._reader.ledger):
            raise ResourceNotFound(f"nothing in quarantine with id {id}")


class LocalEndpoints(_LocalResource):
    def list(self) -> LocalPages[EndpointView]:
        """All endpoints, with their backlogs."""
        ledger = self._reader.ledger

        def read(_cursor: str | None, _limit: int) -> PageView[EndpointView]:
            backlogs = ledger.backlog()
            return PageView(items=[EndpointView.of(one, backlogs[one.id], full_url=True) for one in ledger.endpoints()])

        return LocalPages(read)

    def get(self, endpoint: str) -> EndpointView:
        """An endpoint, by name or id. Raises ResourceNotFound."""
        ledger = self._reader.ledger
        found = ledger.endpoint(endpoint)
        return EndpointView.of(found, ledger.backlog()[found.id], full_url=True)


class LocalKeys(_LocalResource):
    def list(self) -> LocalPages[KeyView]:
        """All keys but the admin key."""
        ledger = self._reader.ledger
        return LocalPages(lambda _cursor, _limit: PageView(items=list(map(KeyView.of, ledger.keys()))))

    def create(self, name: str, *, role: str, full_numbers: bool = False) -> CreatedKeyView:
        """Create a key; a running gateway knows it at once. Raises ConfigError, StateConflict."""
        if problem := validate_key_name(name):
            raise ConfigError(f"name: {problem}")
        key, draft = draft_api_key(name, Role(role), full_numbers=full_numbers)
        return CreatedKeyView.with_key(CreateKey(CLI_ACTOR, draft).run(self._reader.ledger), key)

    def revoke(self, name: str) -> None:
        """Revoke a key, by name or id: it stops working at once. Raises ResourceNotFound."""
        RevokeKey(CLI_ACTOR, name).run(self._reader.ledger)


class LocalExport:
    """A file, in chunks; `row_count` and `progress`, from 0 to 1, are those of the last one."""

    def __init__(self, ledger: Ledger, export: "Export") -> None:
        self._ledger = ledger
        self._export = export
        self.row_count = 0
        self.progress = 0.0

    def __iter__(self) -> Iterator[bytes]:
        from answerback.exports.write import iter_export
        from answerback.gc_tuning import freeze_gc

        freeze_gc()
        for chunk in iter_export(self._ledger, self._export):
            self.row_count, self.progress = chunk.rows, chunk.progress
            yield chunk.data


class LocalGateway:
    """What of a gateway's /v1 can be done without it."""

    def __init__(self, reader: LocalLedger) -> None:
        self._reader = reader
        self.calls = LocalCalls(reader)
        self.deliveries = LocalDeliveries(reader)
        self.quarantine = LocalQuarantine(reader)
        self.endpoints = LocalEndpoints(reader)
        self.keys = LocalKeys(reader)

    def stats(self, **range: "Unpack[StatisticsRange]") -> StatisticsView:
        """Statistics of the calls first seen in a range. Raises InvalidRange."""
        zone = ZoneInfo(self._reader.settings.console.timezone)
        name, kind = range.get("range"), range.get("kind")
        hours = select_hours(
            None if name is None else RangeName(name),
            range.get("since"),
            range.get("until"),
            zone,
            channel=range.get("channel"),
            kind=None if kind is None else CallbackKind(kind),
        )
        found = self._reader.calls_ledger.statistics(hours)
        return StatisticsView.of(found, zone, default_step(hours.until - hours.since))

    def alerts(self) -> LocalPages[AlertView]:
        """The alert rules of the config file, and their state."""
        from answerback.alerts import alert_states
        from answerback.ledger.admin.alerts import find_alerts

        states = alert_states(self._reader.settings.alerts.rules, self._reader.ledger.read(find_alerts))
        return LocalPages(lambda _cursor, _limit: PageView(items=list(map(AlertView.read_from, states))))

    def status(self) -> StatusView:
        """The gateway's processes, and which of them delivers to each endpoint."""
        return build_status_view(self._reader.ledger.read(read_cluster_status), self._reader.inbox())

    def export(self, dataset: str, format: str = "ndjson", **filters: "Unpack[ExportFilter]") -> LocalExport:
        """Calls, callbacks, deliveries or statistics as a file. Raises InvalidExportFilter, MissingExtra, ResourceNotFound."""
        from answerback.exports import Export

        ledger = self._reader.calls_ledger
        wanted = _with_endpoint_id(ledger, {name: value for name, value in filters.items() if name != "timezone"})
        export = Export.of(Dataset(dataset), FileFormat(format), wanted, full_numbers=self._reader.full_numbers)
        RecordAuditEvent(CLI_ACTOR, AuditAction.EXPORTED, (export.audit_summary,)).run(ledger)
        return LocalExport(ledger, export)


def _split_paging(parameters: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of a page, and the filters."""
    paging = {name: parameters.pop(name) for name in ("page_size", "cursor") if name in parameters}
    return paging, parameters


def _with_endpoint_id(ledger: Ledger, filters: dict[str, Any]) -> dict[str, Any]:
    """Filters with the id of the endpoint that is named by name or id. Raises ResourceNotFound."""
    name = filters.pop("endpoint", None)
    return filters if name is None else filters | {"endpoint_id": ledger.endpoint(name).id}
