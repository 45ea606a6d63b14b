"""Collects the routes of the API's modules, and builds each once."""

from collections.abc import Callable
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from fastapi import Depends, FastAPI, Response

from answerback.api.dependencies import CurrentPrincipal
from answerback.api.openapi import problem
from answerback.domain.models import Role

RouteFunction = TypeVar("RouteFunction", bound=Callable[..., Any])
Responses = dict[int | str, dict[str, Any]]

_ALWAYS: Responses = {
    401: problem("the API key is missing, wrong or revoked"),
    429: problem("too many wrong keys: `Retry-After` says when to try again"),
    503: problem("the ledger is unavailable"),
}
FORBIDDEN: Responses = {
    403: problem("the key lacks the role, or the right to full numbers: `detail` names what is needed")
}
NUMBERS_HIDDEN: Responses = {403: problem("the key may not see full numbers, so it cannot search by one")}
NOT_FOUND: Responses = {404: problem("nothing has that id")}
AMBIGUOUS: Responses = {409: problem("several channels have the callid: `channels` names them")}
CONFLICT: Responses = {409: problem("the request conflicts with the current state")}


class Routes:
    """Routes that share a tag, a prefix and the role that they require.

    FastAPI's own `APIRouter` builds each when it is named and again where it is included, for half of what the API's first
    request takes.
    """

    def __init__(self, tag: str, *, prefix: str = "", role: Role = Role.VIEWER) -> None:
        self._tag = tag
        self._prefix = prefix
        self._role = role
        self.registered: list[tuple[str, Callable[..., Any], dict[str, Any]]] = []
        self.get = partial(self._register, "GET")
        self.post = partial(self._register, "POST")
        self.put = partial(self._register, "PUT")
        self.patch = partial(self._register, "PATCH")
        self.delete = partial(self._register, "DELETE")

    def _register(
        self, method: str, path: str, *, role: Role | None = None, responses: Responses | None = None, **options: Any
    ) -> Callable[[RouteFunction], RouteFunction]:
        """Register a route that requires `role`, beside which `responses` are possible; the options are FastAPI's."""
        required = role or self._role
        restricted = required is not Role.VIEWER
        options |= {
            "methods": [method],
            "tags": [self._tag],
            "dependencies": [Depends(_role_check(required))] if restricted else [],
            "responses": _ALWAYS | (FORBIDDEN if restricted else {}) | (responses or {}),
        }

        def note(endpoint: RouteFunction) -> RouteFunction:
            self.registered.append((self._prefix + path, endpoint, options))
            return endpoint

        return note

    def build(self, api: FastAPI, guard: Any) -> None:
        """Add the routes to `api`, each with the dependency `guard`."""
        for path, endpoint, options in self.registered:
            answering = endpoint if iscoroutinefunction(endpoint) else _render_in_thread(endpoint)
            api.add_api_route(path, answering, **options | {"dependencies": [guard, *options["dependencies"]]})


def _role_check(role: Role) -> Callable[..., Any]:
    async def require(principal: CurrentPrincipal) -> None:
        principal.require_role(role)

    return require


def _render_in_thread(endpoint: Callable[..., Any]) -> Callable[..., Response]:
    """Encode what a thread returns as JSON in that thread, too, because a page may be large. For status 200 only."""

    @wraps(endpoint)
    def rendered(*arguments: Any, **named: Any) -> Response:
        answer = endpoint(*arguments, **named)
        if isinstance(answer, Response):
            return answer
        return Response(answer.model_dump_json(), media_type="application/json")

    return rendered
