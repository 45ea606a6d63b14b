"""The OpenAPI document: what FastAPI makes of the routes, with descriptions, examples and the paths that it does not serve."""

from collections.abc import Iterator
from typing import Any

from fastapi.encoders import jsonable_encoder
from fastapi.routing import APIRoute

from answerback.api.openapi import callback_url, health, webhooks
from answerback.api.openapi.examples import REQUEST_EXAMPLES, RESPONSE_EXAMPLES
from answerback.schemas.view import Problem

Document = dict[str, Any]

DESCRIPTION = """\
Answerback takes the callbacks of Tencent Cloud voice messages, answers each only once it is safe on disk, folds all
callbacks of a call into one record, and delivers events to your systems.

Everything below `/v1` needs an API key: `Authorization: Bearer ab_…`. Times are ISO 8601; in responses they are UTC.
Phone numbers are masked unless the key has the right to see them in full.

Lists are pages: `{items, next_cursor}`. Send `next_cursor` back as `cursor` for the next one; null means that this is
the last.

Callbacks are answered first and recorded a moment later. A read waits up to a quarter of a second (`api.read_wait_ms`) for callbacks
that were answered before it; if that was not enough, the header `Answerback-Recorder-Lag` says by how many seconds it is behind.

An error is always a `Problem`: `detail` says what is wrong, and `field` where. The callback URL, and POST /v1/callbacks with a
single callback, respond by the vendor's contract instead: `{result, errmsg}`. A method that is not allowed is answered 405,
with `Allow`; a body that is too large 413; an internal error 500.
"""

TAGS = [
    {
        "name": "callback URL",
        "description": "The URL that the cloud POSTs callbacks to. It needs no API key: its token is the secret.",
    },
    {"name": "calls", "description": "Calls and their outcomes, their callbacks and annotations."},
    {"name": "callbacks", "description": "Submit callbacks that did not come to the callback URL."},
    {
        "name": "quarantine",
        "description": "Request bodies that could not be parsed. They are kept, to be parsed again after a fix.",
    },
    {"name": "statistics", "description": "Statistics of calls: outcomes, durations, failures, fees."},
    {"name": "events", "description": "Callbacks and attempts as they happen, as a stream that a cursor resumes."},
    {"name": "exports", "description": "Files of calls, callbacks, deliveries or statistics, of any size."},
    {"name": "endpoints", "description": "Endpoints: the webhook URLs that a channel's events are delivered to."},
    {"name": "deliveries", "description": "Deliveries of events to endpoints, and replays."},
    {"name": "webhooks", "description": "The webhooks that an endpoint with the format `standard` receives."},
    {"name": "alerts", "description": "Alert rules of the config file and their state."},
    {"name": "access", "description": "API keys and the audit log."},
    {"name": "erasures", "description": "Erase one person's number from everything that is stored."},
    {"name": "processes", "description": "The gateway's processes and their roles."},
    {"name": "health", "description": "The gateway's own health. Needs no key."},
]
"""All tags, in the document's order."""

_FASTAPI_SCHEMAS = ("HTTPValidationError", "ValidationError")
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_CHALLENGE = {"WWW-Authenticate": {"description": "how to authenticate", "schema": {"const": "Bearer"}}}
_SCHEMAS: dict[str, Any] = {"Problem": jsonable_encoder(Problem.model_json_schema(), exclude_none=True)}

_PROBLEMS: dict[int, dict[str, Any]] = {
    401: {"none": {"detail": "send an API key: Authorization: Bearer …"}},
    403: {"viewer": {"detail": "this requires the role operator; the key `night-shift` has viewer"}},
    404: {"nothing": {"detail": "no call d9428888-122b-11e1-b85c-61cd3cbb3210"}},
    409: {"conflict": {"detail": "another gateway on this data directory delivers: send the request to that one"}},
    413: {"large": {"detail": "the body is larger than 1048576 bytes"}},
    422: {
        "field": {"detail": "page_size: Input should be greater than or equal to 1", "field": "page_size"},
        "cursor": {"detail": "cursor: not one of a previous page", "field": "cursor"},
    },
    429: {"keys": {"detail": "too many wrong keys: try again in 6 s"}},
    501: {"parquet": {"detail": 'parquet needs pyarrow: pip install "answerback[parquet]"'}},
    503: {"ledger": {"detail": "the disk is failing"}},
}
"""Status -> name -> example."""


def problem(description: str) -> dict[str, Any]:
    """A response that is a Problem. Given as `model`, FastAPI would build a validator for each of some 400 responses."""
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def operation_id(route: APIRoute) -> str:
    """The operation id of a route: `list_calls` becomes listCalls."""
    first, *others = route.name.split("_")
    return first + "".join(map(str.capitalize, others))


def complete(document: Document) -> Document:
    """Return the document with examples, and with the paths that FastAPI does not serve."""
    for operation in operations(document):
        _complete_request(operation)
        _complete_responses(operation)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _FASTAPI_SCHEMAS:
        schemas.pop(name, None)
    schemas.update(callback_url.SCHEMAS | health.SCHEMAS | webhooks.SCHEMAS | _SCHEMAS)
    document["paths"] = callback_url.PATHS | health.PATHS | document["paths"]
    document["webhooks"] = webhooks.WEBHOOKS
    return document


def operations(document: Document) -> Iterator[Document]:
    for item in document["paths"].values():
        yield from item.values()


def _complete_request(operation: Document) -> None:
    for media_type, examples in REQUEST_EXAMPLES.get(operation["operationId"], {}).items():
        operation["requestBody"]["content"][media_type]["examples"] = _values(examples)


def _complete_responses(operation: Document) -> None:
    answers: Document = operation["responses"]
    if _is_fastapi_validation_error(answers.get("422")):
        answers["422"] = problem("a field is invalid: `field` names it")
    if "requestBody" in operation:
        answers.setdefault("413", problem("the body is larger than a megabyte"))
    if "401" in answers:
        answers["401"]["headers"] = _CHALLENGE
    for status, answer in answers.items():
        content = answer.get("content", {})
        own = RESPONSE_EXAMPLES.get((operation["operationId"], int(status)), {})
        for media_type, examples in own.items():
            content[media_type]["examples"] = _values(examples)
        for media in content.values():
            if media.get("schema") == _PROBLEM and int(status) in _PROBLEMS:
                media.setdefault("examples", _values(_PROBLEMS[int(status)]))
    operation["responses"] = dict(sorted(answers.items()))


def _is_fastapi_validation_error(answer: Document | None) -> bool:
    return answer is not None and any(
        media["schema"].get("$ref", "").endswith(_FASTAPI_SCHEMAS[0]) for media in answer["content"].values()
    )


def _values(examples: Document) -> Document:
    return {name: {"value": value} for name, value in examples.items()}
