from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
from builders import ADMIN, NIGHT, NOON, UUID1, received, rejected, status, unanswered, wire
from contract.delivery_helpers import accept_everything, at, change, endpoint, exhaust, load, undelivered
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from answerback.domain.endpoints import Endpoint, EndpointConfig, PayloadFormat
from answerback.domain.models import CallbackKind, Outcome, Role
from answerback.errors import InvalidCursor, LedgerUnavailable, PermissionDenied
from answerback.ledger import Ledger
from answerback.ledger.admin import endpoints
from answerback.ledger.admin.api_keys import KeyDraft
from answerback.ledger.admin.audit import CONFIG_FILE, MAX_TARGET_LENGTH, Actor, AuditAction, record_event
from answerback.ledger.admin.endpoints import EndpointDraft
from answerback.ledger.commands import (
    COMMANDS,
    AddEndpoint,
    ChangeEndpoint,
    Command,
    CreateKey,
    DeleteQuarantined,
    RecordAuditEvent,
    RemoveEndpoint,
    ReplayDelivery,
    RequestErasure,
    RequeueQuarantined,
    RevokeKey,
    StartReplay,
    SyncConfigEndpoints,
    UseSignInLink,
)
from answerback.ledger.tables import audit_events, metadata
from answerback.ledger.write.erasures import find_unfinished

CRM, NEW = "crm at https://crm.example", "https://new.example:8443/voice?token=s3cret"
KEY = KeyDraft("auditor", bytes(32), Role.VIEWER, full_numbers=True)


class Filled(NamedTuple):
    """A ledger with something of each sort in it, by the ids of it."""

    ledger: Ledger
    crm: Endpoint
    delivery: int
    quarantined: int


class Act(NamedTuple):
    """A request that people cause, made for a filled ledger, and the events that it is to leave."""

    request: Callable[[Filled], Command[Any]]
    events: Callable[[Filled], list[tuple[str, str, str]]]


def fill(ledger: Ledger) -> Filled:
    """An endpoint with a delivery given up, a body in quarantine that is a callback by now, and a key."""
    crm = endpoint(ledger)
    ledger.record([received(status(callid=UUID1)), rejected(wire(unanswered(callid="later")))])
    (job,) = load(ledger, crm)
    exhaust(ledger, job)
    CreateKey(ADMIN, KeyDraft("old", b"1" * 32, Role.ADMIN, full_numbers=False)).run(ledger)
    return Filled(ledger, crm, undelivered(ledger)[0].id, ledger.requeueable_ids()[0])


def changed(crm: Endpoint, **fields: Any) -> Endpoint:
    """The endpoint with other fields of its config, or of itself."""
    own = {name: fields.pop(name) for name in list(fields) if name in Endpoint.__struct_fields__}
    return msgspec.structs.replace(crm, config=msgspec.structs.replace(crm.config, **fields), **own)


def one(action: str, target: str, actor: str = "admin") -> Callable[[Filled], list[tuple[str, str, str]]]:
    """One event; `{delivery}` and `{quarantined}` in its target are those ids."""
    return lambda filled: [(actor, action, target.format(**filled._asdict()))]


_DRAFT = EndpointDraft(name="new", channel="default", config=EndpointConfig(url=NEW), secret="whsec_c2VjcmV0")

ACTS: dict[str, Act] = {
    "add": Act(lambda _: AddEndpoint(ADMIN, _DRAFT), one("endpoint_added", "new at https://new.example:8443")),
    "change": Act(
        lambda f: ChangeEndpoint(ADMIN, changed(f.crm, url=NEW, timeout_s=3.0)),
        one("endpoint_changed", "crm at https://new.example:8443 from https://crm.example (url, timeout_s)"),
    ),
    "disable": Act(
        lambda f: ChangeEndpoint(ADMIN, changed(f.crm, enabled=False, disabled_reason="13812345678 said no")),
        one("endpoint_disabled", f"{CRM} (138****5678 said no)"),
    ),
    "rotate": Act(
        lambda f: ChangeEndpoint(ADMIN, changed(f.crm, secret="whsec_bmV3ZXI")), one("endpoint_secret_rotated", CRM)
    ),
    "align": Act(
        lambda f: SyncConfigEndpoints(CONFIG_FILE, [changed(f.crm, channel="sales", enabled=False)], [_DRAFT]),
        lambda _: [
            ("config file", "endpoint_changed", f"{CRM} (channel)"),
            ("config file", "endpoint_disabled", CRM),
            ("config file", "endpoint_added", "new at https://new.example:8443"),
        ],
    ),
    "remove": Act(lambda f: RemoveEndpoint(ADMIN, f.crm.id), one("endpoint_removed", CRM)),
    "replay": Act(
        lambda f: StartReplay(ADMIN, f.crm.id, (12, "dead deliveries")),
        one("endpoint_replayed", f"{CRM} with 12 dead deliveries"),
    ),
    "retry": Act(
        lambda f: ReplayDelivery(NIGHT, f.delivery),
        one("delivery_replayed", f"delivery {{delivery}} to {CRM}", "night"),
    ),
    "requeue": Act(
        lambda f: RequeueQuarantined(NIGHT, f.quarantined),
        one("quarantine_requeued", "quarantined body {quarantined} of default", "night"),
    ),
    "drop": Act(
        lambda f: DeleteQuarantined(ADMIN, [f.quarantined, f.quarantined + 99]),
        one("quarantine_deleted", "quarantined body {quarantined}"),
    ),
    "create key": Act(lambda _: CreateKey(ADMIN, KEY), one("key_created", "auditor (viewer, full numbers)")),
    "erase": Act(
        lambda _: RequestErasure(ADMIN, b"sealed"),
        lambda f: [("admin", "number_erased", f"erasure {f.ledger.read(find_unfinished)[-1].id}")],
    ),
    "revoke key": Act(lambda _: RevokeKey(ADMIN, "old"), one("key_revoked", "old")),
    "reveal": Act(
        lambda _: RecordAuditEvent(ADMIN, AuditAction.NUMBERS_REVEALED, ("call", UUID1)),
        one("numbers_revealed", f"call {UUID1}"),
    ),
    "use sign-in link": Act(
        lambda _: UseSignInLink(ADMIN, "link", 1_777_000_000_000_000), one("sign_in_link_used", "to the console")
    ),
}

OURS = {
    *(
        "Record",
        "PruneConsumed",
        "ReportErasure",
        "Prune",
        "RecordLog",
        "LogPositions",
        "ForgetLogs",
        "ProbeWrite",
        "SetQuarantineBounds",
        "RecordAttempts",
        "FetchDue",
        "NextDueByEndpoint",
        "PendingSince",
        "ListEndpoints",
    ),
    *(
        "ListEndpointChanges",
        "OldestPending",
        "RemovedWithPending",
        "ClaimLeases",
        "ReleaseLeases",
        "RecordHeartbeat",
        "DeregisterInstance",
        "CancelPending",
        "MarkOverdue",
    ),
    *("CountDead", "ReplayDead", "ReplayCalls", "SaveAlerts", "EndSession"),
}
"""The requests that nobody causes, that are the steps of one that somebody did, or that concern nobody else."""
AT_THE_RATE_OF_CALLS = {"AnnotateCall"}
"""What programs do with each call: lines of the log."""


def state_of(ledger: Ledger) -> dict[str, Sequence[object]]:
    """Everything that is in the ledger, the audit log too."""
    tables = [table for table in metadata.tables.values() if table.name not in ("commit_tokens", "write_probes")]
    return {table.name: ledger.read(lambda c, t=table: c.execute(select(t)).all()) for table in tables}  # type: ignore[misc]  # the table is bound


def events(ledger: Ledger) -> list[tuple[str, str, str]]:
    """Actor, action and target of each event, oldest first."""
    return [(it.actor, it.action, it.target) for it in reversed(ledger.audit_events(limit=100).items)]


def break_log(ledger: Ledger) -> None:
    """Have the database refuse every further event."""
    if ledger.engine.dialect.name == "sqlite":
        refuse = ["CREATE TRIGGER no_log BEFORE INSERT ON audit_events BEGIN INSERT INTO nowhere VALUES (1); END"]
    else:
        refuse = [
            "CREATE FUNCTION no_log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no log'; END $$",
            "CREATE TRIGGER no_log BEFORE INSERT ON audit_events EXECUTE FUNCTION no_log()",
        ]
    ledger.write(lambda c, _: [c.exec_driver_sql(sql) for sql in refuse])


def mend_log(ledger: Ledger) -> None:
    """Undo that."""
    gone = "TRIGGER no_log" if ledger.engine.dialect.name == "sqlite" else "FUNCTION no_log CASCADE"
    ledger.write(lambda c, _: c.exec_driver_sql(f"DROP {gone}"))


def test_every_request_is_an_act_with_an_actor_or_one_of_ours() -> None:
    """A new request fails this until it is decided which; each act is in the table below."""
    requests = {request.__name__: request for request in COMMANDS}
    assert {name for name in requests if name not in OURS | AT_THE_RATE_OF_CALLS} == {
        name for name, request in requests.items() if request.__struct_fields__[:1] == ("actor",)
    }
    covered = {name for act in ACTS.values() for name in act.request.__code__.co_names}
    assert requests.keys() - OURS - AT_THE_RATE_OF_CALLS <= covered


@pytest.mark.parametrize("name", ACTS)
def test_act_and_event_are_one(ledger: Ledger, name: str) -> None:
    """Where the database refuses the event nothing of the act is there; else both are, the event as it should be."""
    filled = fill(ledger)
    act = ACTS[name]
    break_log(ledger)
    before = state_of(ledger)
    with pytest.raises(LedgerUnavailable):
        act.request(filled).run(ledger)
    assert state_of(ledger) == before
    mend_log(ledger)
    noted = len(events(ledger))
    act.request(filled).run(ledger)
    assert events(ledger)[noted:] == act.events(filled)


def test_what_fails_or_changes_nothing_is_no_event(ledger: Ledger) -> None:
    """A body that is still none, one that is gone, an endpoint as it is already, a start with the same config file."""
    filled = fill(ledger)
    ledger.record([rejected(b"still none")])
    before = events(ledger)
    RequeueQuarantined(ADMIN, ledger.requeueable_ids()[-1]).run(ledger)
    DeleteQuarantined(ADMIN, [10**6]).run(ledger)
    ChangeEndpoint(ADMIN, filled.crm).run(ledger)
    SyncConfigEndpoints(CONFIG_FILE, [], []).run(ledger)
    assert events(ledger) == before


REDIRECTING: list[dict[str, Any]] = [
    {"url": NEW},
    {"format": PayloadFormat.TENCENT},
    {"kinds": (CallbackKind.PROMPT,)},
    {"outcomes": (Outcome.FAILED,)},
    {"failure_codes": (8,)},
    {"number_prefixes": ("138",)},
    {"reference_prefixes": ("order-",)},
    {"notify_on_update": True},
    {"certificate": "own"},
    {"headers": {"X-Token": "other"}},
    {"success": "2xx"},
    {"proxy": "direct"},
    {"channel": "sales"},
]


def test_who_may_not_see_numbers_hands_none_on(ledger: Ledger) -> None:
    """Neither by a new endpoint, nor by any change of one but its pace, its switch and its secret, nor by a replay."""
    filled = fill(ledger)
    tries: list[Command[Any]] = [ChangeEndpoint(NIGHT, changed(filled.crm, **fields)) for fields in REDIRECTING]
    before = state_of(ledger)
    for request in (*tries, AddEndpoint(NIGHT, _DRAFT), StartReplay(NIGHT, filled.crm.id, ())):
        with pytest.raises(
            PermissionDenied, match="this requires the right to full numbers; the key `night` does not have it"
        ):
            request.run(ledger)
    assert state_of(ledger) == before
    fields = EndpointConfig.__struct_fields__
    assert {*fields, "channel"} == {name for one in REDIRECTING for name in one} | {
        "timeout_s",
        "concurrency",
        "retry_schedule_s",
    }
    for allowed in (
        {"timeout_s": 3.0},
        {"retry_schedule_s": (1.0,)},
        {"concurrency": 1},
        {"enabled": False},
        {"secret": "whsec_bmV3ZXI"},
    ):
        ChangeEndpoint(NIGHT, changed(filled.crm, **allowed)).run(ledger)


def test_a_requeue_goes_to_the_endpoints_of_its_time(ledger: Ledger) -> None:
    """Who may not see numbers retries what was made since the endpoint was last pointed elsewhere, and nothing before."""
    filled = fill(ledger)
    change(ledger, changed(filled.crm, timeout_s=3.0, enabled=False))
    change(ledger, filled.crm)
    ReplayDelivery(NIGHT, filled.delivery).run(ledger)
    accept_everything(ledger, filled.crm)
    ledger.write(lambda c, _: endpoints.change(c, changed(filled.crm, url=NEW), ADMIN, at(60)))
    with pytest.raises(PermissionDenied):
        ReplayDelivery(NIGHT, filled.delivery).run(ledger)
    assert ReplayDelivery(ADMIN, filled.delivery).run(ledger) == filled.crm.id
    accept_everything(ledger, filled.crm)
    ledger.record([received(unanswered(callid="since"), after_s=61)])
    assert ReplayDelivery(NIGHT, undelivered(ledger)[-1].id).run(ledger) == filled.crm.id


def stored(ledger: Ledger, *target: str | int) -> str:
    """A target as it is in the table, which is as it is read."""
    ledger.write(lambda c, _: record_event(c, Actor("night"), AuditAction.EXPORTED, NOON, *target))
    row = ledger.read(lambda c: c.execute(select(audit_events).order_by(audit_events.c.id.desc()).limit(1)).one())
    assert ledger.audit_events(limit=1).items[0].target == row.target
    return str(row.target)


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        (("calls.csv", "reference=13812345678", "mobile=…"), "calls.csv reference=138****5678 mobile=…"),
        (("call", UUID1, "(default)"), f"call {UUID1} (default)"),
        (("call", UUID1.replace("-", "")), f"call {UUID1.replace('-', '')}"),
        (("call", "order-13812345678"), "call order-138****5678"),
        (("call", "0" * 21 + "13812345678"), f"call 000{'*' * 25}5678"),
        (("delivery", 13812345678), "delivery 13812345678"),
        (("since=2026-05-01T12:00:00+00:00",), "since=2026-05-01T12:00:00+00:00"),
        (("a\x00b\nc\ud800",), "a\ufffdb\ufffdc\ufffd"),
        (("x" * 60_000,), "x" * MAX_TARGET_LENGTH + "… (59,500 more characters)"),
        (
            ("x" * (MAX_TARGET_LENGTH - 5) + "13812345678",),
            "x" * (MAX_TARGET_LENGTH - 5) + "138**… (6 more characters)",
        ),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_target_is_masked_and_bounded(ledger: Ledger, target: tuple[str | int, ...], kept: str) -> None:
    """No number of anybody's, no more than fits a line of a page, nothing that cannot be printed; ids of ours stay."""
    assert stored(ledger, *target) == kept


@pytest.mark.parametrize("limit", [1, 3, 7, 8, 100])
def test_pages_follow_each_other(ledger: Ledger, limit: int) -> None:
    """Newest first, each once, with what is written in between not among them."""
    for number in range(7):
        stored(ledger, number)
    seen, cursor = [], None
    while True:
        page = ledger.audit_events(cursor, limit)
        seen += [event.target for event in page.items]
        stored(ledger, "new")
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [str(number) for number in reversed(range(7))]


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "1\n", str(2**63), "9" * 5000, "１"])
def test_a_cursor_that_nobody_gave_is_refused(ledger: Ledger, cursor: str) -> None:
    """What is not a former page's is said to be so."""
    with pytest.raises(InvalidCursor, match="cursor"):
        ledger.audit_events(cursor)


@given(st.text(), st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True), st.text(alphabet="abc -./"))
def test_no_number_of_eleven_digits_is_kept(before: str, number: str, after: str) -> None:
    """Whatever stands around it."""
    from answerback.ledger.admin.audit import _written

    assert number not in _written((before, number + after))
