"""The language and the appearance that a reader chose, or that their browser likes best."""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse

from answerback.console.links import Links
from answerback.i18n import LANGUAGES, browser_language

THEMES = ("auto", "light", "dark")

_CHOICES: Mapping[str, tuple[str, ...]] = {"lang": tuple(LANGUAGES), "theme": THEMES}
_COOKIES = {"lang": "answerback_language", "theme": "answerback_theme"}
_A_YEAR_S = 365 * 86_400


class Preferences(NamedTuple):
    """How a page is to look."""

    language: str
    theme: str


def read_preferences(request: Request) -> Preferences:
    """What was chosen before, or else what the browser likes."""
    language = request.cookies.get(_COOKIES["lang"], "")
    theme = request.cookies.get(_COOKIES["theme"], "")
    return Preferences(
        language if language in LANGUAGES else browser_language(request.headers.get("accept-language", "")),
        theme if theme in THEMES else THEMES[0],
    )


def preference_redirect(request: Request, links: Links) -> RedirectResponse | None:
    """Where `?lang=` or `?theme=` asks for it: keep the choice, and go to the same page without them."""
    query = request.query_params
    made = {name: query[name] for name, choices in _CHOICES.items() if query.get(name) in choices}
    if not made or request.method != "GET":
        return None
    rest = urlencode([(name, value) for name, value in query.multi_items() if name not in _CHOICES])
    response = RedirectResponse(request.url.path + (f"?{rest}" if rest else ""), 303)
    for name, value in made.items():
        response.set_cookie(_COOKIES[name], value, max_age=_A_YEAR_S, path=links.console, httponly=True, samesite="lax")
    return response
