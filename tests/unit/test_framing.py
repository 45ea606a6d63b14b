import inspect
from datetime import UTC, timedelta, timezone
from typing import Any

import msgspec
import pytest
from builders import ADMIN, CALLIDS, NIGHT, NOON, payload
from hypothesis import given
from hypothesis import strategies as st
from relay.factories import OTHER_SECRET, endpoint

from answerback import errors
from answerback.domain.delivery_states import Happening
from answerback.domain.models import ApiKey, Arrival, Call, Definition, Format, Kind, Outcome, Role
from answerback.errors import (
    AmbiguousCall,
    AnswerbackError,
    CallbackRejected,
    Conflict,
    FullNumbersRequired,
    InvalidCursor,
    LedgerUnavailable,
    NotFound,
    TooManyAttempts,
    UnavailableReason,
    Unfit,
    UnfitEndpoint,
)
from answerback.ledger import Job, Opening, Pause, Settled, Taken
from answerback.ledger.admin.alerts import Alert
from answerback.ledger.admin.api_keys import KeyDraft
from answerback.ledger.admin.audit import COMMAND_LINE, CONFIG_FILE, AuditAction
from answerback.ledger.admin.endpoints import Draft
from answerback.ledger.admin.instances import Member
from answerback.ledger.admin.leases import Claimed
from answerback.ledger.commands import (
    Abandon,
    Added,
    AddEndpoint,
    Align,
    AnyRequest,
    Backlog,
    Beat,
    Changed,
    ChangeEndpoint,
    Claim,
    CountDead,
    CreateKey,
    Drained,
    DropQuarantined,
    Endpoints,
    EndpointsSince,
    EndSession,
    FirstDue,
    ForgetDrained,
    KeepAlerts,
    Leave,
    LeftOver,
    Load,
    Loaded,
    Noted,
    Probe,
    Record,
    RecordAuditEvent,
    RecordDrained,
    Refer,
    Release,
    RemoveEndpoint,
    ReplayCalls,
    ReplayDead,
    ReplayOne,
    Request,
    Requeue,
    Requeued,
    RevokeKey,
    Settle,
    StartReplay,
    TellOverdue,
    decode_answer,
    decode_request,
    encode_request,
)
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.write.annotations import Overdue, Reference, Referred
from answerback.ledger.write.consumed_batches import Batch, Item
from answerback.ledger.write.replays import Chunk
from answerback.ledger.writer.framing import (
    LENGTH_BYTES,
    decode_opening,
    encode_error,
    encode_opening,
    encode_result,
    frame,
    read_reply,
)

LATER = NOON + timedelta(days=1, microseconds=1)
FULL = endpoint(
    format=Format.TENCENT,
    kinds=(Kind.PROMPT, Kind.KEY),
    outcomes=(Outcome.FAILED,),
    updates=True,
    timeout_s=0.25,
    concurrency=1,
    certificate="crm",
    old_secret=OTHER_SECRET,
    old_secret_until=LATER,
    enabled=False,
)
JOB = Job(1, 2, 3, 0, "dlv_1_9f86d081884c", b'{"a":"\xe7\xa9\xba"}', None, 1_777_000_000_000_000)
ATTEMPT = Settled(1, 2, 3, None, Happening.ACCEPTED, False, 0, 17, 18, 200, b"\x00\xff", None)  # noqa: FBT003  # a row
FAILED = Settled(1, 2, 3, 2**53, Happening.REFUSED, True, 2**53, 17, 18, None, b"", "no connection: 空")  # noqa: FBT003  # a row
CALL = Call(
    channel="default",
    callid="x",
    kind=None,
    first_seen_at=NOON,
    updated_at=LATER,
    keys=("1", "#"),
    metadata={"order": [1, {"a": None}]},
    due_at=LATER,
    seen=frozenset({b"\x00" * 16}),
)

MEMBER = Member(id="m1", host="host", pid=1, roles=["relay"], version="1", started_us=2**53)

REQUESTS: list[Request[Any]] = [
    Record([]),
    Record([Arrival("default", payload("voicekey.json"), NOON), Arrival("空", b"\xff\x00", LATER)]),
    RecordDrained([]),
    RecordDrained([Batch(bytes(16), 2**53, [Item("空", b"\xff\x00", 1)])], [7]),
    ForgetDrained(2**53, 100),
    Probe(),
    Settle([], []),
    Settle([FAILED], [], again=True),
    Settle([FAILED], [], member="m1"),
    Settle([ATTEMPT, FAILED], [Pause(1, 10, 2**53), Pause(2, 0, None)]),
    Load(1, 512),
    Backlog(),
    Added(2**62, 100),
    Endpoints(),
    EndpointsSince(-1),
    FirstDue([1, 2**62]),
    LeftOver(),
    Claim("m1", [1, 2**62], ["alerts"], 15_000_000),
    Release("m1", None),
    Release("m1", [1]),
    Beat(MEMBER, {"url": "http://x", "pending": 1, "relay": {"paused": {"crm": 10}}, "stream": None}),
    Leave("m1"),
    Align(CONFIG_FILE, [], []),
    Align(
        CONFIG_FILE,
        [FULL],
        [Draft(name="crm", channel="a", definition=FULL.definition, secret=OTHER_SECRET, disabled_reason="off")],
    ),
    AddEndpoint(
        ADMIN, Draft(name="crm", channel="default", definition=Definition(url="http://x"), secret=OTHER_SECRET)
    ),
    AddEndpoint(
        ADMIN,
        Draft(
            name="crm", channel="a", definition=FULL.definition, secret=OTHER_SECRET, enabled=False, from_config=True
        ),
    ),
    ChangeEndpoint(ADMIN, endpoint()),
    ChangeEndpoint(ADMIN, FULL, unchanged=True),
    RemoveEndpoint(ADMIN, 1),
    Abandon(1, 1000),
    Refer("default", None, "x", Reference()),
    Refer(None, "default", "空", Reference(reference="order-17", metadata={"a": [1, 2.5, None]}, due_at=LATER)),
    Refer(None, None, "x", Reference(reference=None, metadata=None, due_at=None)),
    TellOverdue(500),
    ReplayOne(ADMIN, 2**53),
    CountDead(1),
    StartReplay(ADMIN, 1, (2, "calls")),
    ReplayDead(1, None, 17, 100),
    ReplayDead(1, "cursor", 17, 100),
    ReplayCalls(FULL, CallFilter(), None, 100),
    ReplayCalls(
        FULL,
        CallFilter(channel="default", mobile="1", outcome=Outcome.FAILED, kind=Kind.CODE, since=NOON, until=LATER),
        "cursor",
        100,
    ),
    CreateKey(ADMIN, KeyDraft("night", bytes(range(32)), Role.OPERATOR, full_numbers=True)),
    EndSession("token", 1_777_000_000_000_000),
    RevokeKey(COMMAND_LINE, "17"),
    RecordAuditEvent(NIGHT, AuditAction.EXPORTED, ("电话", 17)),
    Requeue(ADMIN, 2**62),
    DropQuarantined(ADMIN, [1, 2**62]),
    KeepAlerts([], []),
    KeepAlerts(
        [
            Alert(rule="few", when="answer_rate", since=NOON),
            Alert(
                rule="junk",
                when="quarantine",
                since=NOON,
                firing=True,
                value=2.5,
                en="bodies",
                zh="请求体",
                began_at=NOON,
                turning_at=LATER,
                told={"notify[0] json": NOON, "notify[1] json": None},
                told_at=LATER,
                error="answered 503",
            ),
        ],
        ["few", "junk"],
    ),
]

ANSWERS: list[tuple[type[Request[Any]], object]] = [
    (RecordDrained, Drained(1, {Taken.STORED: 2, Taken.QUARANTINED: 1}, [], [2**62])),
    (ForgetDrained, 7),
    (Record, Noted(b"\x00\x05", [(3003, "空")], [JOB], [1, 2])),
    (Probe, None),
    (Settle, [JOB, JOB]),
    (Load, Loaded([JOB], 2**53)),
    (Load, Loaded([], None)),
    (Backlog, {1: 2**53}),
    (Added, (2**62, [(1, 2**62), (7, 3)])),
    (Endpoints, [endpoint(), FULL]),
    (EndpointsSince, Changed(2**53, [(endpoint(), True), (FULL, False)])),
    (FirstDue, {1: (2**62, 2**53)}),
    (LeftOver, [1]),
    (Claim, Claimed([1], [FULL], [1], ["overdue"])),
    (Release, 2),
    (Beat, None),
    (Leave, None),
    (Align, [endpoint(), FULL]),
    (AddEndpoint, FULL),
    (ChangeEndpoint, endpoint()),
    (RemoveEndpoint, None),
    (Abandon, 1000),
    (Refer, Referred(1, CALL, True, [JOB])),  # noqa: FBT003  # a row
    (TellOverdue, Overdue(1, [JOB], [2], None)),
    (ReplayOne, 1),
    (CountDead, (0, 0)),
    (ReplayDead, Chunk(100, 99, "cursor")),
    (ReplayCalls, Chunk(1, 1, None)),
    (CreateKey, ApiKey(id=1, name="night", digest=bytes(32), role=Role.OPERATOR, full_numbers=True, created_at=NOON)),
    (
        RevokeKey,
        ApiKey(
            id=1, name="x", digest=bytes(32), role=Role.ADMIN, full_numbers=False, created_at=NOON, revoked_at=LATER
        ),
    ),
    (EndSession, None),
    (RecordAuditEvent, None),
    (StartReplay, None),
    (KeepAlerts, None),
    (Requeue, Requeued(None, "the body is empty")),
    (Requeue, Requeued(Taken.STORED, None, [JOB], [1])),
    (DropQuarantined, 2),
]

NAMED = [
    LedgerUnavailable(UnavailableReason.DISK_FULL, "database or disk is full"),
    NotFound("no call x"),
    AmbiguousCall("x", ["a", "b"]),
    Conflict("name: there is an endpoint crm already"),
    InvalidCursor("空"),
    CallbackRejected("is missing", "voicekey_callback.callid"),
]
UNNAMED = [
    errors.ConfigError("relay.jitter: no"),
    errors.LedgerUnsafe("the place is in memory"),
    errors.LedgerVersion("too new"),
    errors.AnswerUnreadable("no JSON"),
    UnfitEndpoint("url", "no URL"),
    AnswerbackError("something"),
]


def came_back(error: AnswerbackError) -> AnswerbackError:
    """What `error` is on the other side."""
    with pytest.raises(AnswerbackError) as caught:
        read_reply(encode_error(error))
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
    """Any other is told as LedgerUnavailable, with its own words for the log."""
    back = came_back(error)
    assert type(back) is LedgerUnavailable
    assert back.detail == str(error)


TAKE_MORE_THAN_WORDS = AmbiguousCall | FullNumbersRequired | LedgerUnavailable | TooManyAttempts | Unfit


def test_every_error_can_be_told() -> None:
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
    assert msgspec.msgpack.decode(read_reply(encode_result(result))) == result


@given(st.text(st.characters(codec="utf-8"), max_size=50))
def test_the_words_of_an_error_come_back_as_they_were(words: str) -> None:
    """In any script."""
    assert str(came_back(NotFound(words))) == words


@given(st.binary(max_size=1000))
def test_a_frame_tells_its_length(content: bytes) -> None:
    """Four bytes, big end first, and then the payload."""
    framed = frame(content)
    assert int.from_bytes(framed[:LENGTH_BYTES], "big") == len(content)
    assert framed[LENGTH_BYTES:] == content


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_a_request_arrives_as_it_was_sent(request_: Request[Any]) -> None:
    """Of every sort, with everything and with nothing in it."""
    arrived = decode_request(encode_request(request_))
    assert type(arrived) is type(request_)
    assert arrived == request_


@pytest.mark.parametrize(("request_type", "answer"), ANSWERS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_answer_arrives_as_it_was_given(request_type: type[Request[Any]], answer: object) -> None:
    """What came of a request, of every sort."""
    assert decode_answer(request_type, read_reply(encode_result(answer))) == answer


def test_every_request_is_tried_here() -> None:
    """A new request needs its line above."""
    sorts = set(AnyRequest.__args__)
    assert {type(request) for request in REQUESTS} == sorts
    assert {request for request, _ in ANSWERS} == sorts


@given(
    st.lists(
        st.builds(
            Arrival,
            st.text(st.characters(codec="utf-8"), max_size=10),
            st.binary(max_size=50),
            st.datetimes(NOON.replace(tzinfo=None), timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))])),
        ),
        max_size=5,
    )
)
def test_any_bodies_arrive_as_they_were_sent(batch: list[Arrival]) -> None:
    """Bytes that are no text, names in any script, times to the microsecond."""
    assert decode_request(encode_request(Record(batch))) == Record(batch)


@given(CALLIDS, st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers(-(2**31), 2**31)))
def test_any_reference_arrives_as_it_was_sent(callid: str, metadata: dict[str, object]) -> None:
    """What is not said stays unsaid, and is told from what is taken back."""
    for said in (Reference(metadata=metadata), Reference(reference=callid), Reference(metadata=None)):
        asked = Refer(None, None, callid, said)
        assert decode_request(encode_request(asked)) == asked


def test_the_opening_arrives_as_it_was_sent() -> None:
    """The first frame names the ledger."""
    opening = Opening(data_dir="/srv/数据", lock_timeout_s=0.5, quarantine_bytes=1, allow_unsafe_place=True)
    assert decode_opening(encode_opening(opening)) == opening
