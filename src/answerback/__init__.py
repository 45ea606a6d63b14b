"""Answerback: know what became of every voice call.

`parse` reads a callback's bytes without any server; the command `answerback serve` is the gateway.
"""

from answerback.domain.calls import callback_fingerprint, fold
from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.models import (
    Call,
    Callback,
    CallbackKind,
    Failure,
    KeyPress,
    Outcome,
    ParsedCallback,
    Result,
    Status,
)
from answerback.errors import (
    AnswerbackError,
    CallbackRejected,
    InvalidCallbackField,
    InvalidJson,
    InvalidResponse,
    UnknownCallback,
)
from answerback.tencent.callbacks import parse
from answerback.tencent.response import CallbackResponse, decode_response, encode_response

__all__ = [
    "FAILURE_REASONS",
    "AnswerbackError",
    "Call",
    "Callback",
    "CallbackKind",
    "CallbackRejected",
    "CallbackResponse",
    "Failure",
    "InvalidCallbackField",
    "InvalidJson",
    "InvalidResponse",
    "KeyPress",
    "Outcome",
    "ParsedCallback",
    "Result",
    "Status",
    "UnknownCallback",
    "callback_fingerprint",
    "decode_response",
    "encode_response",
    "fold",
    "parse",
]
