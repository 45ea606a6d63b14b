import inspect
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from builders import ADMIN, CALLIDS, NIGHT, NOON
from hypothesis import given
from hypothesis import strategies as st
from relay.factories import OTHER_SECRET, endpoint

from answerback import errors
from answerback.domain.delivery_states import DeliveryTransition
from answerback.domain.endpoints import EndpointConfig, PayloadFormat
from answerback.domain.models import ApiKey, Call, CallbackKind, Outcome, Role
from answerback.domain.retention import Cutoffs
from answerback.errors import (
    AmbiguousCall,
    AnswerbackError,
    CallbackRejected,
    FullNumbersRequired,
    InvalidCursor,
    InvalidEndpoint,
    InvalidField,
    LedgerUnavailable,
    PositionConflict,
    ResourceNotFound,
    StateConflict,
    TooManyAttempts,
    UnavailableReason,
)
from answerback.ledger import AttemptRecord, DeliveryJob, Disposition, EndpointPause, LedgerConfig
from answerback.ledger.admin.alerts import Alert
from answerback.ledger.admin.api_keys import KeyDraft
from answerback.ledger.admin.audit import CLI_ACTOR, CONFIG_FILE, AuditAction
from answerback.ledger.admin.endpoints import EndpointDraft
from answerback.ledger.admin.instances import Instance
from answerback.ledger.admin.leases import ClaimResult
from answerback.ledger.commands import (
    COMMANDS,
    AddEndpoint,
    AnnotateCall,
    CancelPending,
    ChangeEndpoint,
    ClaimLeases,
    Command,
    CountDead,
    CreateKey,
    DeleteQuarantined,
    DeregisterInstance,
    DueJobs,
    EndpointChanges,
    EndSession,
    FetchDue,
    ForgetLogs,
    ListEndpointChanges,
    ListEndpoints,
    LogPositions,
    LogReply,
    MarkOverdue,
    NextDueByEndpoint,
    OldestPending,
    PendingSince,
    ProbeWrite,
    Prune,
    PruneConsumed,
    RecordAttempts,
    RecordAuditEvent,
    RecordHeartbeat,
    RecordLog,
    ReleaseLeases,
    RemovedWithPending,
    RemoveEndpoint,
    ReplayCalls,
    ReplayDead,
    ReplayDelivery,
    ReportErasure,
    RequestErasure,
    RequeueQuarantined,
    RequeueResult,
    RevokeKey,
    SaveAlerts,
    SetQuarantineBounds,
    StartReplay,
    SyncConfigEndpoints,
    UseSignInLink,
    decode_command,
    decode_result,
    encode_command,
)
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.write.annotations import AnnotateResult, CallAnnotation, OverdueBatch
from answerback.ledger.write.erasures import Erasure, ErasureState
from answerback.ledger.write.log_rows import LogRow
from answerback.ledger.write.replays import ReplayPage
from answerback.ledger.write.retention import PrunePosition, PruneResult
from answerback.ledger.writer.framing import (
    LENGTH_BYTES,
    decode_config,
    decode_reply,
    encode_config,
    encode_error,
    encode_result,
    frame,
)

LATER = NOON + timedelta(days=1, microseconds=1)
FULL = endpoint(
    format=PayloadFormat.TENCENT,
    kinds=(CallbackKind.PROMPT, CallbackKind.KEY),
    outcomes=(Outcome.FAILED,),
    notify_on_update=True,
    timeout_s=0.25,
    concurrency=1,
    certificate="crm",
    previous_secret=OTHER_SECRET,
    previous_secret_expires_at=LATER,
    enabled=False,
)
JOB = DeliveryJob(1, 2, 3, 0, "dlv_1_9f86d081884c", b'{"a":"\xe7\xa9\xba"}', None, 1_777_000_000_000_000)
ATTEMPT = AttemptRecord(1, 2, 3, None, DeliveryTransition.SUCCEEDED, False, 0, 17, 18, 200, b"\x00\xff", None)  # noqa: FBT003  # a row
FAILED = AttemptRecord(1, 2, 3, 2**53, DeliveryTransition.ATTEMPT_FAILED, True, 2**53, 17, 18, None, b"", "away: 空")  # noqa: FBT003  # a row
CALL = Call(
    channel="default",
    callid="x",
    kind=None,
    first_seen_at=NOON,
    updated_at=LATER,
    keys=("1", "#"),
    metadata={"order": [1, {"a": None}]},
    due_at=LATER,
    fingerprints=frozenset({b"\x00" * 16}),
)

MEMBER = Instance(id="m1", host="host", pid=1, roles=["relay"], version="1", started_us=2**53)

REQUESTS: list[Command[Any]] = [
    RecordLog(bytes(16), 0, []),
    RecordLog(b"", 0, [(1, b"\xff\x00")]),
    RecordLog(bytes(range(16)), 2**62, [(2**62 + 1, b"\x01"), (2**62 + 2, None)], [7], trace=True),
    LogPositions([]),
    LogPositions([bytes(16), bytes(range(16))]),
    ForgetLogs([bytes(16)], 2**53),
    PruneConsumed(2**53, 100),
    Prune(
        Cutoffs(calls=NOON, callbacks=None, deliveries=None, attempts=NOON, quarantine=None, audit_events=NOON),
        PrunePosition(),
    ),
    Prune(
        Cutoffs(calls=None, callbacks=NOON, deliveries=NOON, attempts=None, quarantine=NOON, audit_events=None),
        PrunePosition("audit_events", (2**62, 2**62)),
        insists=True,
    ),
    RequestErasure(ADMIN, b"\x00\xff"),
    ReportErasure(2**53, 0, None),
    ReportErasure(2**53, 3, "disk full"),
    ProbeWrite(),
    SetQuarantineBounds(1 << 20, 60),
    RecordAttempts([], []),
    RecordAttempts([FAILED], [], is_retry=True),
    RecordAttempts([FAILED], [], instance_id="m1"),
    RecordAttempts([ATTEMPT, FAILED], [EndpointPause(1, 10, 2**53), EndpointPause(2, 0, None)]),
    FetchDue(1, 512),
    NextDueByEndpoint(),
    PendingSince(2**62, 100),
    ListEndpoints(),
    ListEndpointChanges(-1),
    OldestPending([1, 2**62]),
    RemovedWithPending(),
    ClaimLeases("m1", [1, 2**62], ["alerts"], 15_000_000),
    ReleaseLeases("m1", None),
    ReleaseLeases("m1", [1]),
    RecordHeartbeat(MEMBER, {"url": "http://x", "pending": 1, "relay": {"paused": {"crm": 10}}, "stream": None}),
    DeregisterInstance("m1"),
    SyncConfigEndpoints(CONFIG_FILE, [], []),
    SyncConfigEndpoints(
        CONFIG_FILE,
        [FULL],
        [EndpointDraft(name="crm", channel="a", config=FULL.config, secret=OTHER_SECRET, disabled_reason="off")],
    ),
    AddEndpoint(
        ADMIN, EndpointDraft(name="crm", channel="default", config=EndpointConfig(url="http://x"), secret=OTHER_SECRET)
    ),
    AddEndpoint(
        ADMIN,
        EndpointDraft(
            name="crm", channel="a", config=FULL.config, secret=OTHER_SECRET, enabled=False, from_config=True
        ),
    ),
    ChangeEndpoint(ADMIN, endpoint()),
    ChangeEndpoint(ADMIN, FULL, if_unmodified=True),
    RemoveEndpoint(ADMIN, 1),
    CancelPending(1, 1000),
    AnnotateCall("default", None, "x", CallAnnotation()),
    AnnotateCall(
        None, "default", "空", CallAnnotation(reference="order-17", metadata={"a": [1, 2.5, None]}, due_at=LATER)
    ),
    AnnotateCall(None, None, "x", CallAnnotation(reference=None, metadata=None, due_at=None)),
    MarkOverdue(500),
    ReplayDelivery(ADMIN, 2**53),
    CountDead(1),
    StartReplay(ADMIN, 1, (2, "calls")),
    ReplayDead(1, None, 17, 100),
    ReplayDead(1, "cursor", 17, 100),
    ReplayCalls(FULL, CallFilter(), None, 100),
    ReplayCalls(
        FULL,
        CallFilter(
            channel="default", mobile="1", outcome=Outcome.FAILED, kind=CallbackKind.CODE, since=NOON, until=LATER
        ),
        "cursor",
        100,
    ),
    CreateKey(ADMIN, KeyDraft("night", bytes(range(32)), Role.OPERATOR, full_numbers=True)),
    EndSession("token", 1_777_000_000_000_000),
    UseSignInLink(NIGHT, "link", 1_777_000_000_000_000),
    RevokeKey(CLI_ACTOR, "17"),
    RecordAuditEvent(NIGHT, AuditAction.EXPORTED, ("电话", 17)),
    RequeueQuarantined(ADMIN, 2**62),
    DeleteQuarantined(ADMIN, [1, 2**62]),
    SaveAlerts([], []),
    SaveAlerts(
        [
            Alert(rule="few", metric="answer_rate", since=NOON),
            Alert(
                rule="junk",
                metric="quarantine",
                since=NOON,
                firing=True,
                value=2.5,
                en="bodies",
                zh="请求体",
                started_at=NOON,
                pending_since=LATER,
                last_sent_at={"notify[0] json": NOON, "notify[1] json": None},
                notified_at=LATER,
                error="answered 503",
            ),
        ],
        ["few", "junk"],
    ),
]

ANSWERS: list[tuple[type[Command[Any]], object]] = [
    (RecordLog, LogReply(2**62, 1, 0, {Disposition.STORED: 2}, [JOB], [2**62], set_aside=["no"])),
    (RecordLog, LogReply(2, 0, 1, {Disposition.STORED: 2, Disposition.QUARANTINED: 1}, [], [])),
    (LogPositions, {bytes(16): 0, bytes(range(16)): 2**62}),
    (ForgetLogs, None),
    (PruneConsumed, 7),
    (Prune, PruneResult({}, None)),
    (Prune, PruneResult({"calls": 2, "callbacks": 2**53}, PrunePosition("quarantine", (1, 2**62)))),
    (ReportErasure, None),
    (
        RequestErasure,
        Erasure(
            id=2**53,
            requested_at=NOON,
            state=ErasureState.ERASING,
            erased={"calls": 1},
            kept_in=["endpoint crm"],
            tries=2,
            failure="disk full",
            finished_at=None,
            sealed_number=b"\xff",
        ),
    ),
    (ProbeWrite, None),
    (SetQuarantineBounds, None),
    (RecordAttempts, [JOB, JOB]),
    (FetchDue, DueJobs([JOB], 2**53)),
    (FetchDue, DueJobs([], None)),
    (NextDueByEndpoint, {1: 2**53}),
    (PendingSince, (2**62, [(1, 2**62), (7, 3)])),
    (ListEndpoints, [endpoint(), FULL]),
    (ListEndpointChanges, EndpointChanges(2**53, [(endpoint(), True), (FULL, False)])),
    (OldestPending, {1: (2**62, 2**53)}),
    (RemovedWithPending, [1]),
    (ClaimLeases, ClaimResult([1], [FULL], [1], ["overdue"])),
    (ReleaseLeases, 2),
    (RecordHeartbeat, None),
    (DeregisterInstance, None),
    (SyncConfigEndpoints, [endpoint(), FULL]),
    (AddEndpoint, FULL),
    (ChangeEndpoint, endpoint()),
    (RemoveEndpoint, None),
    (CancelPending, 1000),
    (AnnotateCall, AnnotateResult(1, CALL, True, [JOB])),  # noqa: FBT003  # a row
    (MarkOverdue, OverdueBatch(1, [JOB], [2], None)),
    (ReplayDelivery, 1),
    (CountDead, (0, 0)),
    (ReplayDead, ReplayPage(100, 99, "cursor")),
    (ReplayCalls, ReplayPage(1, 1, None)),
    (CreateKey, ApiKey(id=1, name="night", digest=bytes(32), role=Role.OPERATOR, full_numbers=True, created_at=NOON)),
    (
        RevokeKey,
        ApiKey(
            id=1, name="x", digest=bytes(32), role=Role.ADMIN, full_numbers=False, created_at=NOON, revoked_at=LATER
        ),
    ),
    (EndSession, None),
    (UseSignInLink, True),
    (RecordAuditEvent, None),
    (StartReplay, None),
    (SaveAlerts, None),
    (RequeueQuarantined, RequeueResult(None, "the body is empty")),
    (RequeueQuarantined, RequeueResult(Disposition.STORED, None, [JOB], [1])),
    (DeleteQuarantined, 2),
]

NAMED = [
    LedgerUnavailable(UnavailableReason.DISK_FULL, "database or disk is full"),
    ResourceNotFound("no call x"),
    AmbiguousCall("x", ["a", "b"]),
    StateConflict("name: there is an endpoint crm already"),
    InvalidCursor("空"),
    CallbackRejected("is missing", "voicekey_callback.callid"),
    PositionConflict("log 00 is recorded up to 3, not 2"),
]
UNNAMED = [
    errors.ConfigError("relay.jitter: no"),
    errors.UnsafeStorage("the place is in memory"),
    errors.SchemaMismatch("too new"),
    errors.InvalidResponse("no JSON"),
    InvalidEndpoint("url", "no URL"),
    AnswerbackError("something"),
]


def came_back(error: AnswerbackError) -> AnswerbackError:
    """What `error` is on the other side."""
    with pytest.raises(AnswerbackError) as caught:
        decode_reply(encode_error(error))
    return caught.value


@pytest.mark.parametrize("error", NAMED, ids=lambda error: type(error).__name__)
def test_an_error_comes_back_as_itself(error: AnswerbackError) -> None:
    """An error that has a name on the wire is raised on the other side, with its words."""
    back = came_back(error)
    assert type(back) is type(error)
    assert str(back) == str(error)


def test_an_ambiguous_call_comes_back_with_its_channels() -> None:
    """The reader is told which there are."""
    back = came_back(AmbiguousCall("x", ["a", "b"]))
    assert isinstance(back, AmbiguousCall)
    assert (back.callid, back.channels) == ("x", ("a", "b"))


@pytest.mark.parametrize("error", UNNAMED, ids=lambda error: type(error).__name__)
def test_an_error_without_a_name_is_one_of_the_ledger(error: AnswerbackError) -> None:
    """Any other arrives as LedgerUnavailable, with its own words for the log."""
    back = came_back(error)
    assert type(back) is LedgerUnavailable
    assert back.detail == str(error)


TAKE_MORE_THAN_WORDS = AmbiguousCall | FullNumbersRequired | LedgerUnavailable | TooManyAttempts | InvalidField


def test_every_error_can_be_read() -> None:
    """There is no error of this program that the other side cannot read."""
    made = {
        error
        for _, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, AnswerbackError) and not issubclass(error, TAKE_MORE_THAN_WORDS)
    }
    assert len(made) > 10
    for error in made:
        back = came_back(error("what is wrong"))
        assert getattr(back, "detail", str(back)) == "what is wrong"
        assert type(back) in {error, LedgerUnavailable}


@given(st.binary())
def test_a_result_comes_back_as_it_was(result: bytes) -> None:
    """Whatever its bytes, a result is never taken for an error."""
    assert msgspec.msgpack.decode(decode_reply(encode_result(result))) == result


@given(st.text(st.characters(codec="utf-8"), max_size=50))
def test_the_words_of_an_error_come_back_as_they_were(words: str) -> None:
    """In any script."""
    assert str(came_back(ResourceNotFound(words))) == words


@given(st.binary(max_size=1000))
def test_a_frame_holds_its_length(content: bytes) -> None:
    """Four bytes, big end first, and then the payload."""
    framed = frame(content)
    assert int.from_bytes(framed[:LENGTH_BYTES], "big") == len(content)
    assert framed[LENGTH_BYTES:] == content


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_a_request_arrives_as_it_was_sent(request_: Command[Any]) -> None:
    """Of every sort, with everything and with nothing in it."""
    arrived = decode_command(encode_command(request_))
    assert type(arrived) is type(request_)
    assert arrived == request_


@pytest.mark.parametrize(("request_type", "answer"), ANSWERS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_answer_arrives_as_it_was_given(request_type: type[Command[Any]], answer: object) -> None:
    """What came of a request, of every sort."""
    assert decode_result(request_type, decode_reply(encode_result(answer))) == answer


def test_every_request_is_tried_here() -> None:
    """A new request needs its line above."""
    sorts = set(COMMANDS)
    assert {type(request) for request in REQUESTS} == sorts
    assert {request for request, _ in ANSWERS} == sorts


@given(
    st.lists(st.tuples(st.integers(0, 2**62), st.none() | st.binary(max_size=50)), max_size=5),
)
def test_any_rows_arrive_as_they_were_sent(rows: list[LogRow]) -> None:
    """Bytes that are no text, and rows without any."""
    command = RecordLog(bytes(16), 1, rows)
    assert decode_command(encode_command(command)) == command


@given(CALLIDS, st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers(-(2**31), 2**31)))
def test_any_reference_arrives_as_it_was_sent(callid: str, metadata: dict[str, object]) -> None:
    """What is not said stays unsaid, and is told from what is taken back."""
    for said in (CallAnnotation(metadata=metadata), CallAnnotation(reference=callid), CallAnnotation(metadata=None)):
        asked = AnnotateCall(None, None, callid, said)
        assert decode_command(encode_command(asked)) == asked


def test_the_opening_arrives_as_it_was_sent() -> None:
    """The first frame names the ledger."""
    opening = LedgerConfig(data_dir="/srv/数据", lock_timeout_s=0.5, quarantine_bytes=1, allow_unsafe_filesystem=True)
    assert decode_config(encode_config(opening)) == opening
