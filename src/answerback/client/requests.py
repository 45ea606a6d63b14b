"""A request as a value: what is sent, what comes back, and whether it may be sent twice."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from answerback.schemas.view import View

T = TypeVar("T")
V = TypeVar("V", bound=View)

Parameters = Mapping[str, str | int | None]


class GatewayRequest(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One request of /v1 whose answer is a T.

    `is_repeatable`: a second one does nothing that the first did not. `least_timeout_s`: it may take so long by its nature.
    """

    method: str
    template: str
    """The path as in /openapi.json: errors show it in place of the real one, in which a callid may be a phone number."""
    path: Parameters = {}
    query: Mapping[str, Any] = {}
    body: bytes | None = None
    content_type: str = "application/json"
    parse: Callable[[bytes], T]
    is_repeatable: bool
    least_timeout_s: float = 0.0

    @property
    def target(self) -> str:
        """Path and query, encoded."""
        path = self.template.format_map({name: _segment(str(value)) for name, value in self.path.items()})
        query = {name: _format(value) for name, value in self.query.items() if value is not None}
        return f"{path}?{urlencode(query)}" if query else path

    def page(self, cursor: str) -> "GatewayRequest[T]":
        """The same list, from `cursor` on."""
        return msgspec.structs.replace(self, query={**self.query, "cursor": cursor})


def _segment(value: str) -> str:
    """One part of a path, whatever it holds: "." and ".." alone would mean another path."""
    return value.replace(".", "%2E") if value in {".", ".."} else quote(value, safe="")


def _format(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def read(template: str, shape: type[V], path: Parameters | None = None, **query: Any) -> GatewayRequest[V]:
    """A GET."""
    parse = shape.model_validate_json
    return GatewayRequest(
        method="GET", template=template, path=path or {}, query=query, parse=parse, is_repeatable=True
    )


def change(
    method: str,
    template: str,
    shape: type[V],
    path: Parameters | None = None,
    body: Mapping[str, Any] | None = None,
    *,
    is_repeatable: bool = False,
    least_timeout_s: float = 0.0,
    **query: Any,
) -> GatewayRequest[V]:
    """A request that changes something, with JSON if there is a body."""
    return GatewayRequest(
        method=method,
        template=template,
        path=path or {},
        query=query,
        body=None if body is None else msgspec.json.encode(body),
        parse=shape.model_validate_json,
        is_repeatable=is_repeatable,
        least_timeout_s=least_timeout_s,
    )


def delete(template: str, path: Parameters) -> GatewayRequest[None]:
    return GatewayRequest(method="DELETE", template=template, path=path, parse=_ignore_body, is_repeatable=True)


def _ignore_body(_body: bytes) -> None:
    return None
