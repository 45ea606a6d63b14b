"""From an address to a page: who is signed in, whether they may, and what is said where something is amiss."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from inspect import iscoroutinefunction
from typing import cast
from urllib.parse import parse_qs, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from answerback.auth.cross_site import is_cross_site
from answerback.console.context import RequestContext
from answerback.console.dependencies import ConsoleDependencies
from answerback.console.links import PATH, Links
from answerback.console.preferences import preference_redirect, read_preferences
from answerback.console.session import Sessions, is_valid_csrf
from answerback.domain.models import Role
from answerback.errors import (
    AmbiguousCall,
    AnswerbackError,
    ExportFailed,
    FullNumbersRequired,
    InvalidCursor,
    InvalidField,
    LedgerUnavailable,
    MissingExtra,
    PermissionDenied,
    ResourceNotFound,
    StateConflict,
    TooManyExports,
)

PageHandler = Callable[[RequestContext], Awaitable[Response] | Response]
"""What answers a request; a function that is no coroutine may wait for the disk: it runs in a thread."""

_ERROR_PAGES: dict[type[AnswerbackError], tuple[str, int]] = {
    FullNumbersRequired: ("numbers", 403),
    PermissionDenied: ("needs_numbers", 403),
    ResourceNotFound: ("missing", 404),
    AmbiguousCall: ("conflict", 409),
    StateConflict: ("conflict", 409),
    InvalidCursor: ("invalid", 422),
    InvalidField: ("invalid", 422),
    MissingExtra: ("invalid", 501),
    TooManyExports: ("busy", 503),
    ExportFailed: ("unavailable", 503),
    LedgerUnavailable: ("unavailable", 503),
}
_WITH_DETAIL = ("conflict", "invalid")


class _IdConvertor(IntegerConvertor):
    """An id in an address; what is longer is no id of ours, and nothing that a driver can be asked for."""

    regex = "[0-9]{1,18}"


register_url_convertor("id", _IdConvertor())


class PageRouter:
    """Makes build_routes of pages and of what forms do."""

    def __init__(self, deps: ConsoleDependencies) -> None:
        self.deps = deps
        self.sessions = Sessions(deps)

    def page(self, path: str, handler: PageHandler, role: Role = Role.VIEWER) -> Route:
        """A page at `path` below /console, for who has `role`."""

        async def endpoint(request: Request) -> Response:
            if (turned := preference_redirect(request, self.deps.links)) is not None:
                return turned
            context = await self._open_context(request)
            return await _respond(context, handler, role) if context else _redirect_to_sign_in(request, self.deps.links)

        return Route(PATH + path, endpoint, methods=["GET"])

    def action(self, path: str, handler: PageHandler, role: Role = Role.VIEWER) -> Route:
        """What a form at `path` does, for who has `role`; the form carries `csrf`."""

        async def endpoint(request: Request) -> Response:
            context = await self._open_context(request)
            if context is None:
                return _redirect_to_sign_in(request, self.deps.links)
            forms = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
            form = {name: values[-1].strip() for name, values in forms.items()}
            ours = not is_cross_site(request.headers, self.deps.public_url)
            if not ours or not is_valid_csrf(form.get("csrf", ""), context.session.token):
                return context.error_page("cross_site", 403)
            return await _respond(replace(context, form=form, form_values=forms), handler, role)

        return Route(PATH + path, endpoint, methods=["POST"])

    async def _open_context(self, request: Request) -> RequestContext | None:
        session = await run_in_threadpool(self.sessions.find, request.cookies)
        if session is None:
            return None
        return RequestContext(deps=self.deps, request=request, session=session, preferences=read_preferences(request))


async def _respond(context: RequestContext, handler: PageHandler, role: Role) -> Response:
    if not context.has_role(role):
        return context.error_page("forbidden", 403)
    try:
        answer = handler(context) if iscoroutinefunction(handler) else run_in_threadpool(handler, context)
        return await cast(Awaitable[Response], answer)
    except PermissionError:
        return context.error_page("forbidden", 403)
    except tuple(_ERROR_PAGES) as error:
        name, status = next(said for kind, said in _ERROR_PAGES.items() if isinstance(error, kind))
        return context.error_page(name, status, str(error) if name in _WITH_DETAIL else "")


def _redirect_to_sign_in(request: Request, links: Links) -> Response:
    """To the sign-in page, and back from there to the page that was asked for."""
    page = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = urlencode({"next": page}) if request.method == "GET" and page != links.console else ""
    return RedirectResponse(links.list("sign-in") + (f"?{back}" if back else ""), 303)
