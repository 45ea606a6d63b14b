"""From an address to a page: who is signed in, whether they may, and what is said where something is amiss."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import parse_qs, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from answerback.console.context import Visit
from answerback.console.dependencies import Given
from answerback.console.links import PATH, Links
from answerback.console.preferences import chosen, preferences_of
from answerback.console.session import Sessions, is_from_elsewhere, is_token
from answerback.domain.models import Role
from answerback.errors import (
    AmbiguousCall,
    AnswerbackError,
    Conflict,
    ExportFailed,
    ExportsBusy,
    ExtraMissing,
    Forbidden,
    FullNumbersRequired,
    InvalidCursor,
    LedgerUnavailable,
    NotFound,
    Unfit,
)

Handler = Callable[[Visit], Awaitable[Response]]

_REFUSALS: dict[type[AnswerbackError], tuple[str, int]] = {
    FullNumbersRequired: ("numbers", 403),
    Forbidden: ("needs_numbers", 403),
    NotFound: ("missing", 404),
    AmbiguousCall: ("conflict", 409),
    Conflict: ("conflict", 409),
    InvalidCursor: ("unfit", 422),
    Unfit: ("unfit", 422),
    ExtraMissing: ("unfit", 501),
    ExportsBusy: ("busy", 503),
    ExportFailed: ("unavailable", 503),
    LedgerUnavailable: ("unavailable", 503),
}
_WITH_DETAIL = ("conflict", "unfit")


class _Id(IntegerConvertor):
    """An id in an address; what is longer is no id of ours, and nothing that a driver can be asked for."""

    regex = "[0-9]{1,18}"


register_url_convertor("id", _Id())


class Site:
    """Makes routes of pages and of what forms do."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self.sessions = Sessions(given)

    def page(self, path: str, handler: Handler, role: Role = Role.VIEWER) -> Route:
        """A page at `path` below /console, for who has `role`."""

        async def endpoint(request: Request) -> Response:
            if (turned := chosen(request, self.given.links)) is not None:
                return turned
            visit = await self._visit(request)
            return await _answer(visit, handler, role) if visit else _to_sign_in(request, self.given.links)

        return Route(PATH + path, endpoint, methods=["GET"])

    def action(self, path: str, handler: Handler, role: Role = Role.VIEWER) -> Route:
        """What a form at `path` does, for who has `role`; the form carries `csrf`."""

        async def endpoint(request: Request) -> Response:
            visit = await self._visit(request)
            if visit is None:
                return _to_sign_in(request, self.given.links)
            forms = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
            form = {name: values[-1].strip() for name, values in forms.items()}
            ours = not is_from_elsewhere(request.headers, self.given.public_url)
            if not ours or not is_token(form.get("csrf", ""), visit.session.token):
                return visit.refuse("elsewhere", 403)
            return await _answer(replace(visit, form=form, forms=forms), handler, role)

        return Route(PATH + path, endpoint, methods=["POST"])

    async def _visit(self, request: Request) -> Visit | None:
        session = await run_in_threadpool(self.sessions.find, request.cookies)
        if session is None:
            return None
        return Visit(given=self.given, request=request, session=session, preferences=preferences_of(request))


async def _answer(visit: Visit, handler: Handler, role: Role) -> Response:
    if not visit.may(role):
        return visit.refuse("forbidden", 403)
    try:
        return await handler(visit)
    except PermissionError:
        return visit.refuse("forbidden", 403)
    except tuple(_REFUSALS) as error:
        name, status = next(said for kind, said in _REFUSALS.items() if isinstance(error, kind))
        return visit.refuse(name, status, str(error) if name in _WITH_DETAIL else "")


def _to_sign_in(request: Request, links: Links) -> Response:
    """To the sign-in page, and back from there to where a page was wanted."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = urlencode({"next": wanted}) if request.method == "GET" and wanted != links.console else ""
    return RedirectResponse(links.list("sign-in") + (f"?{back}" if back else ""), 303)
