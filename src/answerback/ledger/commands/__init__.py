"""What the ledger's writer does for the gateway: each command a value that can be sent, and the way it is carried out.

All writing goes this way, in the order in which it was asked for, one transaction each.
"""

from functools import reduce
from operator import or_
from typing import Any, TypeVar, get_type_hints

import msgspec

from answerback.ledger.commands.audit import (
    CreateKey,
    EndSession,
    RecordAuditEvent,
    RevokeKey,
    SaveAlerts,
    UseSignInLink,
)
from answerback.ledger.commands.cluster import ClaimLeases, DeregisterInstance, RecordHeartbeat, ReleaseLeases
from answerback.ledger.commands.command import Command
from answerback.ledger.commands.delivery import (
    AnnotateCall,
    CancelPending,
    CountDead,
    DueJobs,
    FetchDue,
    MarkOverdue,
    NextDueByEndpoint,
    OldestPending,
    PendingSince,
    RecordAttempts,
    RemovedWithPending,
    ReplayCalls,
    ReplayDead,
    ReplayDelivery,
    StartReplay,
)
from answerback.ledger.commands.endpoints import (
    AddEndpoint,
    ChangeEndpoint,
    EndpointChanges,
    ListEndpointChanges,
    ListEndpoints,
    RemoveEndpoint,
    SyncConfigEndpoints,
)
from answerback.ledger.commands.ingest import (
    DeleteQuarantined,
    ForgetLogs,
    LogPositions,
    LogReply,
    ProbeWrite,
    PruneConsumed,
    RecordLog,
    RequeueQuarantined,
    RequeueResult,
    SetQuarantineBounds,
    TransactionTrace,
)
from answerback.ledger.commands.retention import Prune, ReportErasure, RequestErasure

T = TypeVar("T")

COMMANDS: tuple[type[Command[Any]], ...] = tuple(Command.__subclasses__())

_decoder: msgspec.msgpack.Decoder[Command[Any]] = msgspec.msgpack.Decoder(reduce(or_, COMMANDS))
_result_decoders = {command: msgspec.msgpack.Decoder(get_type_hints(command.run)["return"]) for command in COMMANDS}

encode_command = msgspec.msgpack.Encoder().encode
decode_command = _decoder.decode


def decode_result(command: type[Command[T]], payload: bytes) -> T:
    """What came of a command, from its encoded form."""
    answer: T = _result_decoders[command].decode(payload)
    return answer
