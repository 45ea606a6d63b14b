"""The console as one application: every page below /console, and the headers that keep it to itself."""

from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from answerback.console import assets
from answerback.console.context import RequestContext, layout_values
from answerback.console.dependencies import ConsoleDependencies
from answerback.console.links import PATH, Links
from answerback.console.pages import (
    alerts,
    call,
    calls,
    deliveries,
    endpoint_edit,
    endpoints,
    exports,
    live,
    quarantine,
    replays,
    settings,
    sign_in,
    statistics,
)
from answerback.console.preferences import read_preferences
from answerback.console.render import TemplateResponse
from answerback.console.routing import PageRouter
from answerback.errors import LedgerUnavailable
from answerback.http_protocol import Message, Receive, Send

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # without one, browsers would send forms with `Origin: null`
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language, Cookie",
}
_MAX_FORM_BYTES = 64 * 1024


def build_console(deps: ConsoleDependencies) -> Starlette:
    """Build the application; it serves `/`, which leads to it, and everything below /console."""
    router = PageRouter(deps)

    async def to_console(request: Request) -> Response:
        return RedirectResponse(deps.links.console + (f"?{request.url.query}" if request.url.query else ""), 303)

    pages = (
        sign_in,
        statistics,
        calls,
        call,
        live,
        endpoints,
        endpoint_edit,
        replays,
        deliveries,
        quarantine,
        alerts,
        settings,
        exports,
    )
    return Starlette(
        routes=[
            Route("/", to_console, methods=["GET"]),
            Route(f"{PATH}/", to_console, methods=["GET"]),
            assets.ROUTE,
            *(route for page in pages for route in page.build_routes(router)),
            router.page("/{rest:path}", _not_found),
        ],
        middleware=[Middleware(_SecurityHeadersMiddleware)],
        exception_handlers={
            ClientDisconnect: _on_hang_up,
            LedgerUnavailable: partial(_on_ledger_unavailable, deps.links),
            Exception: partial(_on_server_error, deps.links),
        },
        max_body_size=_MAX_FORM_BYTES,
    )


async def _not_found(context: RequestContext) -> Response:
    return context.error_page("missing", 404)


async def _on_ledger_unavailable(links: Links, request: Request, _error: Exception) -> Response:
    """Where not even the session can be looked up."""
    return _standalone_error_page(links, request, "unavailable", 503)


async def _on_hang_up(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # which nobody reads


async def _on_server_error(links: Links, request: Request, _error: Exception) -> Response:
    """Where we made a mistake; what it was is in the log."""
    return _standalone_error_page(links, request, "broken", 500)


def _standalone_error_page(links: Links, request: Request, name: str, status: int) -> Response:
    return TemplateResponse(
        "error_standalone.html",
        {**layout_values(read_preferences(request), links), "name": name},
        status,
        SECURITY_HEADERS,
    )


class _SecurityHeadersMiddleware:
    """Gives every answer the headers, where it has none of its own of that name."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)
