"""Completes FastAPI's OpenAPI document with examples and the paths that FastAPI does not serve."""

from collections.abc import Iterator
from typing import Any

from fastapi.routing import APIRoute

from answerback.api.openapi import callback_url, health, webhooks
from answerback.api.openapi.problems import PROBLEMS, SCHEMAS, problem
from answerback.api.openapi.request_examples import REQUEST_EXAMPLES
from answerback.api.openapi.response_examples import RESPONSE_EXAMPLES

Document = dict[str, Any]

_FASTAPI_SCHEMAS = ("HTTPValidationError", "ValidationError")
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_CHALLENGE = {"WWW-Authenticate": {"description": "how to authenticate", "schema": {"const": "Bearer"}}}


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
    schemas.update(callback_url.SCHEMAS | health.SCHEMAS | webhooks.SCHEMAS | SCHEMAS)
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
            if media.get("schema") == _PROBLEM and int(status) in PROBLEMS:
                media.setdefault("examples", _values(PROBLEMS[int(status)]))
    operation["responses"] = dict(sorted(answers.items()))


def _is_fastapi_validation_error(answer: Document | None) -> bool:
    return answer is not None and any(
        media["schema"].get("$ref", "").endswith(_FASTAPI_SCHEMAS[0]) for media in answer["content"].values()
    )


def _values(examples: Document) -> Document:
    return {name: {"value": value} for name, value in examples.items()}
