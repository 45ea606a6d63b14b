from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import msgspec
import pytest
from builders import ADMIN, NOON, failure, key_press, received, rejected, status, unanswered
from contract.databases import ledger_database
from contract.delivery_helpers import (
    D,
    accept,
    accept_everything,
    annotate,
    attempt,
    change,
    endpoint,
    load,
    record_overdue,
    refuse,
    remove,
    replay_one,
    settle,
    states,
    tencent,
    undelivered,
)
from sqlalchemy import Table, select, text
from sqlalchemy.engine import Connection

from answerback.domain.batches import encode_batch
from answerback.domain.delivery_states import DeliveryTransition, message_id
from answerback.domain.endpoints import Endpoint
from answerback.domain.models import Role
from answerback.domain.retention import RetentionPolicy
from answerback.erasures.erasure_run import erase
from answerback.errors import AnswerbackError, ConfigError, SchemaMismatch, StateConflict
from answerback.ledger import Disposition, EndpointPause, Ledger, migrations, open_postgresql, open_sqlite
from answerback.ledger.admin import api_keys, sessions
from answerback.ledger.admin.alerts import Alert, save_alerts
from answerback.ledger.admin.api_keys import KeyDraft
from answerback.ledger.admin.audit import AuditAction, record_event
from answerback.ledger.admin.instances import Instance, deregister, heartbeat
from answerback.ledger.backends.postgresql.partition_ids import IDS_PER_MONTH, block_of
from answerback.ledger.commands import Prune, RecordLog, RequestErasure
from answerback.ledger.read.paging import MAX_ID
from answerback.ledger.tables import metadata
from answerback.ledger.types import to_us
from answerback.ledger.write.retention import PrunePosition
from answerback.store_copy import CopyJob, CopyResult, parse_location
from answerback.store_copy.tables import APPEND_ONLY_SPECS, EXCLUDED_TABLES, TABLE_SPECS

BOTH_WAYS = pytest.mark.parametrize(("first", "second"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])


class Unseen:
    """Nobody looks."""

    def begin_stage(self, stage: str, rows: int) -> None:
        """Nothing is shown."""

    def advance_rows(self, table: str, rows: int) -> None:
        """Nothing is shown."""


_KEY = b"the server's secret, which moves with the ledger"


class Stores:
    """The stores of one test, by name: a directory, or a database, each new when it is first named."""

    def __init__(self, directory: Path, opened: ExitStack) -> None:
        self._directory = directory
        self._opened = opened

    def where(self, name: str) -> str:
        """What the command line calls the store of that name."""
        directory = self._directory / name
        return ledger_database(directory) if name.startswith("postgresql") else f"sqlite:{directory}"

    def open(self, name: str) -> Ledger:
        """The ledger in it."""
        where = self.where(name)
        if name.startswith("postgresql"):
            ledger = open_postgresql(where, allow_unsafe=True, id_key=_KEY)
        else:
            ledger = open_sqlite(Path(where.removeprefix("sqlite:")), allow_unsafe_filesystem=True, id_key=_KEY)
        return self._opened.enter_context(closing(ledger))

    def copying(self, source: str, target: str, *, verifies: bool = True) -> CopyJob:
        """The copy from one to the other."""
        places = (parse_location("--from", self.where(source)), parse_location("--to", self.where(target)))
        return CopyJob(source=places[0], target=places[1], verifies=verifies, allow_unsafe=True)

    def copy(self, source: str, target: str, *, verifies: bool = True) -> CopyResult:
        """Copy from one to the other."""
        return self.copying(source, target, verifies=verifies).run(Unseen())


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    """Stores; what is opened of them is closed at the end."""
    with ExitStack() as opened:
        yield Stores(tmp_path, opened)


def fill(ledger: Ledger) -> Endpoint:
    """Something of everything that a ledger can hold; an endpoint with pending deliveries of the calls from `owed-0` on."""
    ledger.record([received(status(callid="pruned"), after_s=-400 * 86_400)])
    crm, old = endpoint(ledger, "crm", notify_on_update=True), tencent(ledger)
    gone = endpoint(ledger, "gone")
    for n in range(12):
        first_s = n * 86_400 * 4.0  # through two months
        ledger.record([received(status(callid=f"call-{n}", fee_minutes=n % 3), after_s=first_s)])
        ledger.record([received(key_press(callid=f"call-{n}"), after_s=first_s + 1)] * 2)
    ledger.record([received(failure(callid="failed", code=8, reason="空\0号"))])
    ledger.record([rejected(b"\x00{}"), rejected(b"\x00{}"), rejected(b"")])
    annotate(ledger, "call-1", reference="order-1", metadata={"a": "\0", "b": ["电话"]})
    annotate(ledger, "silent", default="default", due_at=NOON + timedelta(seconds=5))
    record_overdue(ledger, at_s=10)
    remove(ledger, gone)
    accept_everything(ledger, old)
    job, *others = load(ledger, crm)
    accept(ledger, job)
    settle(ledger, attempt(others[0], DeliveryTransition.EXHAUSTED, answer=b"no 13788888888", error="no"))
    refuse(ledger, others[1], due_s=60)
    settle(ledger, pauses=[EndpointPause(crm.id, 3, 1)])
    draft = KeyDraft("night", bytes(32), Role.VIEWER, full_numbers=True)
    ledger.write(lambda c, _: api_keys.add(c, draft, ADMIN, NOON))
    ledger.write(lambda c, _: sessions.end(c, "signed out of", to_us(NOON + timedelta(days=1)), NOON))
    alert = Alert(rule="fees", metric="fees > 1", since=NOON, firing=True, en="1", last_sent_at={"mailto": NOON})
    ledger.write(lambda c, _: save_alerts(c, [alert]))
    ledger.record([received(status(callid=f"owed-{n}"), after_s=n) for n in range(3)])
    Prune(RetentionPolicy(calls_days=300).cutoffs(NOON), PrunePosition()).run(ledger)
    RequestErasure(ADMIN, b"sealed").run(ledger)
    RecordLog(bytes(16), 0, [(1, encode_batch([b"", 0, []]))]).run(ledger)
    return crm


def rows_of(ledger: Ledger, table: Table, *columns: str) -> list[tuple[Any, ...]]:
    """All rows of a table, or some of their columns, in order."""
    found = select(*(table.c[column] for column in columns or table.c.keys())).order_by(*table.primary_key.columns)
    return ledger.read(lambda c: [tuple(row) for row in c.execute(found)])


def require_equal(one: Ledger, other: Ledger, spelled: Callable[[object], object] = lambda value: value) -> None:
    """Both hold the same in every table that is copied."""
    for shape in TABLE_SPECS:
        ours = [tuple(map(spelled, row)) for row in rows_of(one, shape.table)]
        assert ours, f"{shape.name} is empty, so nothing is shown"
        assert ours == [tuple(map(spelled, row)) for row in rows_of(other, shape.table)], shape.name


def highest_of(ledger: Ledger, table: Table) -> int:
    """What a new row's id is above: SQLite counts on from the highest, PostgreSQL from the highest number in any month."""
    months = IDS_PER_MONTH if ledger.engine.dialect.name == "postgresql" else MAX_ID
    return max(int(id_) % months for (id_,) in rows_of(ledger, table, "id"))


def without_nul(value: object) -> object:
    """Text as PostgreSQL keeps it."""
    return value.replace("\0", "␀") if isinstance(value, str) else value


def test_every_table_is_copied_or_left_out_on_purpose() -> None:
    """A new table has to be thought of."""
    assert {shape.name for shape in TABLE_SPECS} | EXCLUDED_TABLES == set(metadata.tables)


@BOTH_WAYS
def test_there_and_back_every_table_is_as_it_was(stores: Stores, first: str, second: str) -> None:
    """What went to the other store and back again is equal in every row; ids are never changed."""
    fill(stores.open(first))
    assert stores.copy(first, second).ready
    require_equal(stores.open(first), stores.open(second), without_nul)
    again = stores.copy(first, second)
    assert again.ready
    changes = {name: one.added + one.changed + one.removed for name, one in again.synced.items()}
    assert {name: count for name, count in changes.items() if count} == {
        "audit_events": 1
    }  # that it was copied once more
    assert stores.copy(second, f"{first}-back").ready
    require_equal(stores.open(second), stores.open(f"{first}-back"), without_nul)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_store_is_copied_to_one_of_its_own_kind(stores: Stores, kind: str) -> None:
    """To another directory, or another database."""
    fill(stores.open(kind))
    assert stores.copy(kind, f"{kind}-other").ready
    require_equal(stores.open(kind), stores.open(f"{kind}-other"))


@BOTH_WAYS
def test_run_again_it_catches_up_with_every_sort_of_change(stores: Stores, first: str, second: str) -> None:
    """Also with what no time of change tells of: an old callback, a repeat, a replay, a name or an id that was free again."""
    ledger = stores.open(first)
    ledger.record([received(status(callid=f"old-{n}"), after_s=-300 * 86_400 + n) for n in range(3)])
    crm = fill(ledger)
    with serving(ledger):
        assert not stores.copy(first, second).ready
    Prune(RetentionPolicy(calls_days=200).cutoffs(NOON), PrunePosition()).run(ledger)
    ledger.record([received(unanswered(callid="call-1"), after_s=-900_000), received(key_press(callid="call-2"))])
    annotate(ledger, "call-3", reference="late", at_s=-900_000)
    replay_one(ledger, next(one.id for one in undelivered(ledger, crm) if one.state is D))
    accept_everything(ledger, crm)
    ledger.delete_quarantined(ledger.requeueable_ids(), ADMIN)
    ledger.record([rejected(b""), rejected(b"new")])
    remove(ledger, crm)
    change(ledger, msgspec.structs.replace(endpoint(ledger, "crm"), enabled=False))
    ledger.write(lambda c, _: api_keys.revoke(c, "night", ADMIN, NOON))
    annotate(ledger, "call-4", reference="of 13788888888")
    assert erase(ledger, None, RequestErasure(ADMIN, b"sealed").run(ledger).id, "13788888888").erased["attempts"] == 1
    last = stores.copy(first, second)
    assert last.ready
    assert last.synced["calls"].changed
    assert last.synced["calls"].removed == last.synced["callbacks"].removed == 3
    require_equal(ledger, stores.open(second), without_nul)


@contextmanager
def serving(ledger: Ledger) -> Iterator[None]:
    """As if a gateway served the ledger: it is heard of every now and then, and takes leave."""
    member = Instance(id="gateway", host="old", pid=7, roles=["relay"], version="1", started_us=1)
    ledger.write(lambda c, _: heartbeat(c, member, {}))
    ended = Event()

    def go_on() -> None:
        while not ended.wait(0.05):
            ledger.write(lambda c, _: heartbeat(c, member, {}))

    beating = Thread(target=go_on)
    beating.start()
    try:
        yield
    finally:
        ended.set()
        beating.join()
        ledger.write(lambda c, _: deregister(c, "gateway"))


@BOTH_WAYS
def test_the_new_gateway_goes_on_where_the_old_one_was(stores: Stores, first: str, second: str) -> None:
    """New rows get ids above all others of their month, a call keeps its month, message ids stay, delivered stays delivered."""
    before = stores.open(first)
    crm = fill(before)
    assert stores.copy(first, second).ready
    after = stores.open(second)
    reported = {one.id for one in undelivered(before, crm) if one.state is D}
    pending = [message_id(one.id, one.message_tag) for one in undelivered(before, crm)]
    assert load(after, crm) == load(before, crm)
    (receipt,) = after.record([received(unanswered(callid="call-0"), after_s=5)])
    assert receipt.disposition is Disposition.STORED
    highest = {shape.name: highest_of(after, shape.table) for shape in APPEND_ONLY_SPECS}
    jobs = accept_everything(after, crm)
    assert not {job.delivery_id for job in jobs} & reported
    assert {message_id(one.id, one.message_tag) for one in undelivered(after, crm)} > set(pending)
    after.record([received(status(callid="new"), after_s=6), rejected(b"unheard of")])
    after.write(lambda c, _: record_event(c, ADMIN, AuditAction.EXPORTED, NOON))
    assert all(highest_of(after, shape.table) > highest[shape.name] for shape in APPEND_ONLY_SPECS)
    columns = ("id", "mobile_block")
    assert all(block == block_of(id_) for id_, block in rows_of(after, metadata.tables["calls"], *columns))
    assert states(after, crm).count(D) > len(reported)


def test_a_row_that_somebody_has_tampered_with_is_found(stores: Stores) -> None:
    """Its table and id are named, also where nothing that can change has; and the copy stays shut."""
    first, second = "sqlite", "postgresql"
    fill(stores.open(first))
    stores.copy(first, second)
    stores.open(second).write(
        lambda c, _: c.execute(
            text("UPDATE callbacks SET raw = fingerprint WHERE id IN (SELECT min(id) FROM callbacks)")
        )
    )
    lowest = str(rows_of(stores.open(second), metadata.tables["callbacks"], "id")[0][0])
    for found in (stores.copying(first, second).verify(Unseen()), stores.copy(first, second)):
        (different,) = [name for name, verified in found.verified.items() if verified.difference]
        difference = found.verified[different].difference
        assert difference is not None
        assert (different, difference.rows, difference.first, difference.last) == ("callbacks", 1, lowest, lowest)
        assert found.has_differences
        assert not found.ready
    with pytest.raises(SchemaMismatch, match="not finished"):
        stores.open(second)


def test_until_it_is_whole_a_copy_is_not_served(stores: Stores) -> None:
    """While the source is being written the copy is shut for every program; it is opened by the last run, once."""
    first, second = "sqlite", "postgresql"
    ledger = stores.open(first)
    fill(ledger)
    with serving(ledger):
        copied = stores.copy(first, second, verifies=False)
    assert copied.source_changed
    assert copied.served_by == ["old, process 7"]
    with pytest.raises(SchemaMismatch, match="run `answerback copy` again"):
        stores.open(second)
    with pytest.raises(StateConflict, match="finish that first"):
        stores.copy(second, "sqlite-third")
    assert stores.copy(first, second, verifies=False).ready
    stores.open(second)


def test_another_ledger_is_left_alone(stores: Stores) -> None:
    """A target with rows that the source does not have is refused, and stays as it is."""
    first, second = "sqlite", "postgresql"
    fill(stores.open(first))
    other = stores.open(second)
    other.record([received(status(callid="somebody else's"))])
    with pytest.raises(StateConflict, match=r"row .* of calls is not in .* Name an empty"):
        stores.copy(first, second)
    assert len(rows_of(other, metadata.tables["calls"])) == 1


def test_a_copy_that_was_served_since_is_left_alone(stores: Stores) -> None:
    """What the new gateway has taken is not written over by what the old one had."""
    first, second = "sqlite", "postgresql"
    crm = fill(stores.open(first))
    stores.copy(first, second)
    after = stores.open(second)
    (job, *_) = load(after, crm)
    settle(after, attempt(job, DeliveryTransition.SUCCEEDED))
    with pytest.raises(StateConflict, match=r"of attempts is not in .* served it since"):
        stores.copy(first, second)
    with serving(after), pytest.raises(StateConflict, match="a gateway serves it"):
        stores.copy(first, second)


def test_ledgers_of_other_schemas_are_refused(stores: Stores) -> None:
    """Whichever of the two it is; the error tells what to do."""
    first, second = "sqlite", "postgresql"
    stores.open(second)
    for store in (first, second):
        ledger = stores.open(store)
        say(ledger, "0009")
        with pytest.raises(SchemaMismatch, match=r"schema is 0009, .*upgrade.*answerback export"):
            stores.copy(first, second)
        say(ledger, migrations.HEAD)


def say(ledger: Ledger, revision: str) -> None:
    """Make a ledger say that its schema is another."""

    def work(connection: Connection, _: object) -> None:
        for table in ("schema_revision", "alembic_version"):
            connection.execute(text(f"UPDATE {table} SET version_num = '{revision}'"))

    ledger.write(work)


def test_places_are_read_with_care(stores: Stores) -> None:
    """Errors name the option, and never a password."""
    for words in ("mysql://u:geheim@h/d", "ledger.db", "sqlite:"):
        with pytest.raises(ConfigError, match="--to: expected sqlite:") as refused:
            parse_location("--to", words)
        assert "geheim" not in str(refused.value)
    assert "geheim" not in repr(parse_location("--to", "postgresql://u:geheim@h/d"))
    with pytest.raises(ConfigError, match="--from: there is no ledger at"):
        stores.copy("sqlite-none", "sqlite")
    stores.open("sqlite")
    with pytest.raises(ConfigError, match="it is the ledger that --from names"):
        stores.copy("sqlite", "sqlite")
    assert issubclass(ConfigError, AnswerbackError)
