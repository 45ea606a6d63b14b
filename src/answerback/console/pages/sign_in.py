"""Signing in with an API key or by a one-time link, and signing out."""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from answerback.auth.cross_site import is_cross_site
from answerback.console.context import RequestContext, layout_values
from answerback.console.links import PATH, Links
from answerback.console.preferences import preference_redirect, read_preferences
from answerback.console.render import TemplateResponse
from answerback.console.routing import PageRouter
from answerback.console.session import safe_redirect
from answerback.domain.models import ApiKey
from answerback.errors import LedgerUnavailable, LinkRefused, TooManyAttempts

ShowProblem = Callable[[str, int], Response]
"""Shows the form again, with the text of that name, and the status."""

Authenticate = Callable[[], Awaitable[ApiKey | None]]
"""Whose key or link it is."""


def build_routes(router: PageRouter) -> list[Route]:
    async def leave(context: RequestContext) -> Response:
        response = context.redirect(context.links.list("sign-in"))
        await router.sessions.sign_out(context.session, response)
        return response

    return [*_key_routes(router), *_link_routes(router), router.action("/sign-out", leave)]


def _key_routes(router: PageRouter) -> list[Route]:
    deps = router.deps

    async def show(request: Request) -> Response:
        if (turned := preference_redirect(request, deps.links)) is not None:
            return turned
        target = safe_redirect(request.query_params.get("next", ""), deps.links)
        if await run_in_threadpool(router.sessions.find, request.cookies):
            return RedirectResponse(target, 303)
        return _page("sign_in.html", deps.links, request, target=target)

    async def enter(request: Request) -> Response:
        form = await _read_form(request)
        target = safe_redirect(form.get("next", ""), deps.links)

        def show_problem(problem: str, status: int) -> Response:
            return _page("sign_in.html", deps.links, request, problem, status, target=target)

        async def authenticate() -> ApiKey | None:
            return await deps.authenticator.authenticate(form.get("key", ""), request.scope, "console")

        return await _sign_in(router, request, authenticate, target, show_problem)

    return [
        Route(f"{PATH}/sign-in", show, methods=["GET"]),
        Route(f"{PATH}/sign-in", enter, methods=["POST"]),
    ]


def _link_routes(router: PageRouter) -> list[Route]:
    """The page of a link and its form. What opens is behind the # of the link, which no GET has: only the form signs in."""
    deps = router.deps

    async def show(request: Request) -> Response:
        if (turned := preference_redirect(request, deps.links)) is not None:
            return turned
        session = await run_in_threadpool(router.sessions.find, request.cookies)
        signed_in = None if session is None else session.principal.name
        return _page("sign_in_link.html", deps.links, request, signed_in=signed_in)

    async def enter(request: Request) -> Response:
        code = (await _read_form(request)).get("link", "").rpartition("#")[2]

        def show_problem(problem: str, status: int) -> Response:
            return _page("sign_in_link.html", deps.links, request, problem, status, signed_in=None)

        async def authenticate() -> ApiKey:
            return await deps.authenticator.redeem(code, request.scope)

        return await _sign_in(router, request, authenticate, deps.links.console, show_problem)

    return [
        Route(f"{PATH}/sign-in/link", show, methods=["GET"]),
        Route(f"{PATH}/sign-in/link", enter, methods=["POST"]),
    ]


async def _sign_in(
    router: PageRouter, request: Request, authenticate: Authenticate, target: str, show_problem: ShowProblem
) -> Response:
    """Begin a session for whom `authenticate` finds, and go on to `target`."""
    if is_cross_site(request.headers, router.deps.public_url):
        return show_problem("sign_in_cross_site", 403)
    try:
        principal = await authenticate()
    except TooManyAttempts as error:
        page = show_problem("sign_in_limited", 429)
        page.headers["Retry-After"] = str(error.retry_after_s)
        return page
    except LinkRefused as error:
        return show_problem(f"sign_in_link_{error.reason.name.lower()}", 422)
    except LedgerUnavailable:
        return show_problem("message_unavailable_hint", 503)
    if principal is None:
        return show_problem("sign_in_wrong", 422)
    response = RedirectResponse(target, 303)
    router.sessions.sign_in(principal, response)
    return response


async def _read_form(request: Request) -> dict[str, str]:
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    return {name: values[-1].strip() for name, values in fields.items()}


def _page(
    template: str, links: Links, request: Request, problem: str | None = None, status: int = 200, **values: str | None
) -> Response:
    frame = layout_values(read_preferences(request), links) | {"problem": problem}
    return TemplateResponse(template, frame | values, status)
