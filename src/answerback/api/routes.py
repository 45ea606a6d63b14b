"""Collects the routes of the API's modules, and builds each once."""

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from fastapi import FastAPI, Response

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Responses = dict[int | str, dict[str, Any]]


class Routes:
    """Routes that share a tag, a prefix, dependencies and answers.

    FastAPI's own `APIRouter` builds each when it is named and again where it is included, for half of what the API's first
    request takes.
    """

    def __init__(
        self, tag: str, *, prefix: str = "", dependencies: Sequence[Any] = (), responses: Responses | None = None
    ) -> None:
        self._tag = tag
        self._prefix = prefix
        self._dependencies = dependencies
        self._responses = responses or {}
        self.registered: list[tuple[str, Callable[..., Any], dict[str, Any]]] = []

    def get(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register a GET route; the options are FastAPI's."""
        return self._register("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register a POST route."""
        return self._register("POST", path, **options)

    def put(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register a PUT route."""
        return self._register("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register a PATCH route."""
        return self._register("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register a DELETE route."""
        return self._register("DELETE", path, **options)

    def _register(
        self,
        method: str,
        path: str,
        *,
        dependencies: Sequence[Any] = (),
        responses: Responses | None = None,
        **options: Any,
    ) -> Callable[[Endpoint], Endpoint]:
        options["methods"] = [method]
        options["tags"] = [self._tag]
        options["dependencies"] = [*self._dependencies, *dependencies]
        options["responses"] = self._responses | (responses or {})

        def note(endpoint: Endpoint) -> Endpoint:
            self.registered.append((self._prefix + path, endpoint, options))
            return endpoint

        return note

    def build(self, api: FastAPI, guard: Any) -> None:
        """Add the routes to `api`, each with the dependency `guard`."""
        for path, endpoint, options in self.registered:
            answering = endpoint if iscoroutinefunction(endpoint) else _render_in_thread(endpoint)
            api.add_api_route(path, answering, **options | {"dependencies": [guard, *options["dependencies"]]})


def _render_in_thread(endpoint: Callable[..., Any]) -> Callable[..., Response]:
    """Encode what a thread returns as JSON in that thread, too, because a page may be large. For status 200 only."""

    @wraps(endpoint)
    def rendered(*arguments: Any, **named: Any) -> Response:
        answer = endpoint(*arguments, **named)
        if isinstance(answer, Response):
            return answer
        return Response(answer.model_dump_json(), media_type="application/json")

    return rendered
