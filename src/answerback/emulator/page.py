"""The emulator's page: what there is, a form to place a call, and every call with its callbacks."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from answerback.auth.cross_site import is_cross_site
from answerback.emulator.cloud import Cloud
from answerback.emulator.outcomes import SCRIPT_ROWS
from answerback.emulator.page_form import CallForm, build_send_request, invalid_field, parse_form
from answerback.emulator.page_views import build_call_row, build_callback_rows, build_step_rows, call_segments
from answerback.emulator.snippets import LANGUAGE_NAMES, SnippetLanguage, build_snippets
from answerback.emulator.texts import error_text, texts
from answerback.emulator.vendor_errors import SendRejected
from answerback.i18n import LANGUAGES, browser_language

_HERE = Path(__file__).parent
_ASSETS = {"emulator.css": "text/css", "emulator.js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # without one, browsers would send the form with `Origin: null`
    "Cache-Control": "no-store",
    "Vary": "Accept-Language, Cookie",
}
_PAGE_SIZE = 50
_MAX_FORM_BYTES = 64 * 1024
_COOKIE = "answerback_language"
_A_YEAR_S = 365 * 86_400
_FAILURES_FROM = "101"


def build_page_routes(cloud: Cloud, authority: Path | None = None) -> list[Route]:
    """The page of `cloud`, for its application; `authority` signed its certificate, where it was made for it."""
    pages = _EmulatorPages(cloud, authority)
    return [
        Route("/", pages.home, methods=["GET"]),
        Route("/calls", pages.place, methods=["POST"]),
        Route("/calls", lambda _request: RedirectResponse("/", 303), methods=["GET"]),
        Route("/calls/{callid}", pages.call, methods=["GET"]),
        Route("/static/{name}", _asset, methods=["GET"]),
    ]


def page_language(request: Request) -> str:
    """The language that was chosen with `?lang=`, now or before, or else the one that the browser likes best."""
    for chosen in (request.query_params.get("lang"), request.cookies.get(_COOKIE)):
        if chosen is not None and chosen in LANGUAGES:
            return chosen
    return browser_language(request.headers.get("accept-language", ""))


class _EmulatorPages:
    def __init__(self, cloud: Cloud, authority: Path | None) -> None:
        self._cloud = cloud
        self._authority = authority

    async def home(self, request: Request) -> Response:
        """Everything at a glance; `?ending=` fills in the form, `?page=` goes back in the list of calls, `?snippet=` chooses a language."""
        ending = request.query_params.get("ending", "")
        form = self._default_form(request)._replace(
            ending=ending if ending in {row.ending for row in SCRIPT_ROWS} else ""
        )
        return self._home(request, form)

    async def place(self, request: Request) -> Response:
        """Place the call that the form asks for and go to it, or show the form again with the cloud's refusal."""
        if is_cross_site(request.headers):
            return self._message(request, "forbidden", 403)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MAX_FORM_BYTES:
                return self._message(request, "too_large", 413)
        form = parse_form(body, self._default_form(request))
        try:
            call = await self._cloud.place(build_send_request(form, self._cloud.account, self._cloud.clock.now_s()))
        except SendRejected as refusal:
            return self._home(request, form, refusal)
        return RedirectResponse(f"/calls/{call.callid}", 303, _HEADERS)

    async def call(self, request: Request) -> Response:
        """One call: its timeline and its callbacks."""
        call = self._cloud.calls.get(request.path_params["callid"])
        if call is None:
            return self._message(request, "missing", 404)
        values = {
            "row": build_call_row(call),
            "application": self._cloud.account.applications[call.request.app_id],
            "segments": call_segments(call.script),
            "steps": build_step_rows(call),
            "callbacks": build_callback_rows(call),
            "live": not call.finished,
        }
        return _page(request, "call.html", values)

    def _home(self, request: Request, form: CallForm, refusal: SendRejected | None = None) -> Response:
        calls, account = self._cloud.calls, self._cloud.account
        number = _page_number(request, len(calls))
        first = (number - 1) * _PAGE_SIZE
        attempts = Counter(attempt.accepted for call in calls.values() for attempt in call.attempts)
        url, language = _base_url(request), _snippet_language(request)
        values = {
            "url": url,
            "tally": (len(calls), self._cloud.active, attempts[True], attempts[False]),
            "rows": [build_call_row(call) for call in islice(reversed(calls.values()), first, first + _PAGE_SIZE)],
            "page": number,
            "has_older": first + _PAGE_SIZE < len(calls),
            "form": form,
            "refusal": refusal,
            "detail": refusal.message.removeprefix(refusal.error.message).removeprefix(": ") if refusal else "",
            "invalid_field": invalid_field(form, refusal.error) if refusal else None,
            "account": account,
            "snippet_language": language,
            "snippet_languages": LANGUAGE_NAMES,
            "authority": self._authority,
            "snippets": build_snippets(language, account, url, self._authority),
            "scripts": [row for row in SCRIPT_ROWS if row.ending < _FAILURES_FROM],
            "failures": [row for row in SCRIPT_ROWS if row.ending >= _FAILURES_FROM],
            "live": self._cloud.active and not refusal,  # to reload a refused form would be to send it again
        }
        return _page(request, "home.html", values, 422 if refusal else 200)

    def _default_form(self, request: Request) -> CallForm:
        first = next(iter(self._cloud.account.applications))
        return CallForm(app_id=first, text=texts(page_language(request))["text_default"])

    def _message(self, request: Request, name: str, status: int) -> Response:
        return _page(request, "message.html", {"name": name, "live": False}, status)


def _page(request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
    language = page_language(request)
    frame = {
        "t": texts(language),
        "language": language,
        "languages": LANGUAGES,
        "path": quote(request.scope["path"]) if request.method == "GET" else "/",
        "error_text": error_text,
    }
    response = Response(_render()(template, {**frame, **values}), status, _HEADERS, "text/html")
    response.headers["Content-Language"] = {"zh": "zh-CN"}.get(language, language)
    if request.query_params.get("lang") in LANGUAGES:
        response.set_cookie(_COOKIE, language, max_age=_A_YEAR_S, httponly=True, samesite="lax")
    return response


@cache
def _render() -> Callable[[str, Mapping[str, Any]], str]:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # only who looks at the page needs it

    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return lambda template, values: environment.get_template(template).render(values)


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _ASSETS:
        return Response("no such file", 404, media_type="text/plain")
    headers = _HEADERS | {"Cache-Control": "no-cache"}
    return Response((_HERE / "static" / name).read_bytes(), 200, headers, _ASSETS[name])


def _page_number(request: Request, calls: int) -> int:
    text = request.query_params.get("page", "1")
    last = max(1, -(-calls // _PAGE_SIZE))
    return min(max(1, int(text)), last) if text.isascii() and text.isdigit() and len(text) < len("1000000") else 1


def _snippet_language(request: Request) -> SnippetLanguage:
    chosen = request.query_params.get("snippet", "")
    return SnippetLanguage(chosen) if chosen in set(SnippetLanguage) else SnippetLanguage.PYTHON


def _base_url(request: Request) -> str:
    """Where the emulator is, as its reader reached it."""
    host = request.headers.get("host", "")
    try:
        parts = urlsplit(f"//{host}")
        known = parts.hostname is not None and parts.port != 0  # reading the port is what finds a bad one
    except ValueError:
        known = False
    _, port = request.scope["server"]
    return f"{request.scope['scheme']}://{host if known else f'127.0.0.1:{port}'}"
