"""Examples of errors, by status."""

from typing import Any

from fastapi.encoders import jsonable_encoder

from answerback.schemas.view import Problem

SCHEMAS: dict[str, Any] = {"Problem": jsonable_encoder(Problem.model_json_schema(), exclude_none=True)}

PROBLEMS: dict[int, dict[str, Any]] = {
    401: {"none": {"detail": "send an API key: Authorization: Bearer …"}},
    403: {"viewer": {"detail": "this requires the role operator; the key `night-shift` has viewer"}},
    404: {"nothing": {"detail": "no call d9428888-122b-11e1-b85c-61cd3cbb3210"}},
    409: {"conflict": {"detail": "another gateway on this data directory delivers: send the request to that one"}},
    413: {"large": {"detail": "the body is larger than 1048576 bytes"}},
    422: {
        "field": {"detail": "limit: Input should be greater than or equal to 1", "field": "limit"},
        "cursor": {"detail": "cursor: not one of a previous page", "field": "cursor"},
    },
    429: {"keys": {"detail": "too many wrong keys: try again in 6 s"}},
    501: {"parquet": {"detail": 'parquet needs pyarrow: pip install "answerback[parquet]"'}},
    503: {"ledger": {"detail": "the disk fails"}},
}
"""Status -> name -> example."""


def problem(description: str) -> dict[str, Any]:
    """A response that is a Problem. Given as `model`, FastAPI would build a validator for each of some 400 responses."""
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
