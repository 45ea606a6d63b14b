"""Signing in with an API key, and signing out."""

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
from answerback.errors import LedgerUnavailable, TooManyAttempts


def build_routes(router: PageRouter) -> list[Route]:
    async def show(request: Request) -> Response:
        if (turned := preference_redirect(request, router.deps.links)) is not None:
            return turned
        target = safe_redirect(request.query_params.get("next", ""), router.deps.links)
        if await run_in_threadpool(router.sessions.find, request.cookies):
            return RedirectResponse(target, 303)
        return _page(router.deps.links, request, target)

    async def enter(request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        target = safe_redirect(form.get("next", [""])[-1], router.deps.links)
        if is_cross_site(request.headers, router.deps.public_url):
            return _page(router.deps.links, request, target, "sign_in_cross_site", 403)
        try:
            offered = form.get("key", [""])[-1].strip()
            principal = await router.deps.authenticator.authenticate(offered, request.scope, "console")
        except TooManyAttempts as error:
            page = _page(router.deps.links, request, target, "sign_in_limited", 429)
            page.headers["Retry-After"] = str(error.retry_after_s)
            return page
        except LedgerUnavailable:
            return _page(router.deps.links, request, target, "message_unavailable_hint", 503)
        if principal is None:
            return _page(router.deps.links, request, target, "sign_in_wrong", 422)
        response = RedirectResponse(target, 303)
        router.sessions.sign_in(principal, response)
        return response

    async def leave(context: RequestContext) -> Response:
        response = context.redirect(context.links.list("sign-in"))
        await router.sessions.sign_out(context.session, response)
        return response

    return [
        Route(f"{PATH}/sign-in", show, methods=["GET"]),
        Route(f"{PATH}/sign-in", enter, methods=["POST"]),
        router.action("/sign-out", leave),
    ]


def _page(links: Links, request: Request, target: str, problem: str | None = None, status: int = 200) -> Response:
    values = {"target": target, "problem": problem}
    return TemplateResponse("sign_in.html", layout_values(read_preferences(request), links) | values, status)
