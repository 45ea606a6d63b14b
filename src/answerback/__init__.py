"""Answerback: know what became of every voice call.

`parse` reads a callback's bytes without any server; the command `answerback serve` is the gateway.
"""

from answerback.domain.calls import fold, identify
from answerback.domain.models import Call, Callback, Failure, KeyPress, Kind, Outcome, Received, Result, Status
from answerback.errors import (
    AnswerbackError,
    AnswerUnreadable,
    CallbackRejected,
    NotJson,
    UnfitField,
    UnknownCallback,
)
from answerback.tencent.callbacks import parse
from answerback.tencent.codes import FAILURE_REASONS
from answerback.tencent.response import Answer, read_answer, write_answer

__all__ = [
    "FAILURE_REASONS",
    "Answer",
    "AnswerUnreadable",
    "AnswerbackError",
    "Call",
    "Callback",
    "CallbackRejected",
    "Failure",
    "KeyPress",
    "Kind",
    "NotJson",
    "Outcome",
    "Received",
    "Result",
    "Status",
    "UnfitField",
    "UnknownCallback",
    "fold",
    "identify",
    "parse",
    "read_answer",
    "write_answer",
]
