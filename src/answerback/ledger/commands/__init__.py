"""What the gateway asks of the ledger's writer: each request a value that can be sent, and the way it is carried out.

All writing goes this way, in the order in which it was asked for, one transaction each.
"""

from typing import TypeVar

import msgspec

from answerback.ledger.commands.audit import CreateKey, EndSession, KeepAlerts, RecordAuditEvent, RevokeKey
from answerback.ledger.commands.cluster import Beat, Claim, Leave, Release
from answerback.ledger.commands.command import Request
from answerback.ledger.commands.delivery import (
    Abandon,
    Added,
    Backlog,
    CountDead,
    FirstDue,
    LeftOver,
    Load,
    Loaded,
    Refer,
    ReplayCalls,
    ReplayDead,
    ReplayOne,
    Settle,
    StartReplay,
    TellOverdue,
)
from answerback.ledger.commands.endpoints import (
    AddEndpoint,
    Align,
    Changed,
    ChangeEndpoint,
    Endpoints,
    EndpointsSince,
    RemoveEndpoint,
)
from answerback.ledger.commands.ingest import (
    Drained,
    DropQuarantined,
    ForgetDrained,
    Noted,
    Probe,
    Record,
    RecordDrained,
    Requeue,
    Requeued,
    Witnessed,
)

T = TypeVar("T")

AnyRequest = (
    Record
    | RecordDrained
    | ForgetDrained
    | Requeue
    | DropQuarantined
    | Probe
    | Settle
    | Load
    | Backlog
    | Added
    | Endpoints
    | EndpointsSince
    | FirstDue
    | LeftOver
    | Claim
    | Release
    | Beat
    | Leave
    | Align
    | AddEndpoint
    | ChangeEndpoint
    | RemoveEndpoint
    | Abandon
    | Refer
    | TellOverdue
    | ReplayOne
    | CountDead
    | StartReplay
    | ReplayDead
    | ReplayCalls
    | CreateKey
    | RevokeKey
    | EndSession
    | RecordAuditEvent
    | KeepAlerts
)

encode_request = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(AnyRequest).decode
_decoders = {request: msgspec.msgpack.Decoder(request.answer).decode for request in AnyRequest.__args__}


def decode_answer(request: type[Request[T]], payload: bytes) -> T:
    """What came of a request, from its encoded form."""
    answer: T = _decoders[request](payload)
    return answer


__all__ = [
    "Abandon",
    "AddEndpoint",
    "Added",
    "Align",
    "AnyRequest",
    "Backlog",
    "Beat",
    "ChangeEndpoint",
    "Changed",
    "Claim",
    "CountDead",
    "CreateKey",
    "Drained",
    "DropQuarantined",
    "EndSession",
    "Endpoints",
    "EndpointsSince",
    "FirstDue",
    "ForgetDrained",
    "KeepAlerts",
    "Leave",
    "LeftOver",
    "Load",
    "Loaded",
    "Noted",
    "Probe",
    "Record",
    "RecordAuditEvent",
    "RecordDrained",
    "Refer",
    "Release",
    "RemoveEndpoint",
    "ReplayCalls",
    "ReplayDead",
    "ReplayOne",
    "Request",
    "Requeue",
    "Requeued",
    "RevokeKey",
    "Settle",
    "StartReplay",
    "TellOverdue",
    "Witnessed",
    "decode_answer",
    "decode_request",
    "encode_request",
]
