"""Answerback: know what became of every voice call.

`parse` reads a callback's bytes without any server; the command `answerback serve` is the gateway.
"""

from importlib import import_module
from typing import TYPE_CHECKING

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
    MissingExtra,
    UnknownCallback,
)
from answerback.tencent.callbacks import parse
from answerback.tencent.response import CallbackResponse, decode_response, encode_response

if TYPE_CHECKING:
    from answerback.client import AsyncClient as AsyncClient
    from answerback.client import Client as Client
    from answerback.client import construct_event as construct_event

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


def __getattr__(name: str) -> object:
    """The client's names: imported when they are asked for, because they need the extra `client`."""
    if name not in ("AsyncClient", "Client", "construct_event"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module("answerback.client"), name)
    except ModuleNotFoundError as error:
        if (error.name or "answerback").startswith("answerback"):
            raise
        raise MissingExtra(f'answerback.{name} needs {error.name}: pip install "answerback[client]"') from error
