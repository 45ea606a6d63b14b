"""Signing in with an API key, and signing out."""

from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from answerback.console.context import Visit, frame_of
from answerback.console.links import PATH, Links
from answerback.console.preferences import chosen, preferences_of
from answerback.console.render import Page
from answerback.console.routing import Site
from answerback.console.session import is_from_elsewhere, safe_next
from answerback.errors import LedgerUnavailable, TooManyAttempts


def routes(site: Site) -> list[Route]:
    """The page to sign in at, and the button to sign out with."""

    async def show(request: Request) -> Response:
        if (turned := chosen(request, site.given.links)) is not None:
            return turned
        target = safe_next(request.query_params.get("next", ""), site.given.links)
        if await run_in_threadpool(site.sessions.find, request.cookies):
            return RedirectResponse(target, 303)
        return _page(site.given.links, request, target)

    async def enter(request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        target = safe_next(form.get("next", [""])[-1], site.given.links)
        if is_from_elsewhere(request.headers, site.given.public_url):
            return _page(site.given.links, request, target, "sign_in_elsewhere", 403)
        try:
            offered = form.get("key", [""])[-1].strip()
            reader = await site.given.authenticator.authenticate(offered, request.scope, "console")
        except TooManyAttempts as error:
            page = _page(site.given.links, request, target, "sign_in_limited", 429)
            page.headers["Retry-After"] = str(error.retry_after_s)
            return page
        except LedgerUnavailable:
            return _page(site.given.links, request, target, "note_unavailable_hint", 503)
        if reader is None:
            return _page(site.given.links, request, target, "sign_in_wrong", 422)
        response = RedirectResponse(target, 303)
        site.sessions.begin(reader, response)
        return response

    async def leave(visit: Visit) -> Response:
        response = visit.redirect(visit.links.list("sign-in"))
        await site.sessions.end(visit.session, response)
        return response

    return [
        Route(f"{PATH}/sign-in", show, methods=["GET"]),
        Route(f"{PATH}/sign-in", enter, methods=["POST"]),
        site.action("/sign-out", leave),
    ]


def _page(links: Links, request: Request, target: str, problem: str | None = None, status: int = 200) -> Response:
    told = {"target": target, "problem": problem}
    return Page("sign_in.html", frame_of(preferences_of(request), links) | told, status)
