"""One request of somebody who is signed in: who it is, how they like to read, and how a page answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from answerback.console.assets import asset_url
from answerback.console.dependencies import Given
from answerback.console.links import Links
from answerback.console.preferences import THEMES, Preferences
from answerback.console.render import Page
from answerback.console.session import Session
from answerback.console.texts import texts
from answerback.domain.models import ApiKey, Call, Role
from answerback.domain.phone_numbers import is_number_like
from answerback.i18n import LANGUAGES
from answerback.ledger.admin.audit import Actor, AuditAction
from answerback.ledger.commands import RecordAuditEvent
from answerback.schemas.calls import CallView

T = TypeVar("T")

Form = Mapping[str, str]
"""The fields of a form that was sent, each with its last value."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a page works with. `revealed`: it may show phone numbers in full, now and on this page only."""

    given: Given
    request: Request
    session: Session
    preferences: Preferences
    form: Form = field(default_factory=dict)
    forms: Mapping[str, list[str]] = field(default_factory=dict)
    revealed: bool = False

    @property
    def reader(self) -> ApiKey:
        """Whose key it is."""
        return self.session.reader

    @property
    def actor(self) -> Actor:
        """The same, as the audit log names them."""
        return Actor.of(self.reader)

    @property
    def links(self) -> Links:
        """The addresses of other pages."""
        return self.given.links

    @property
    def language(self) -> str:
        """The language of the page."""
        return self.preferences.language

    @property
    def t(self) -> Mapping[str, str]:
        """Every text by its name, in that language."""
        return texts(self.language)

    @property
    def query(self) -> Mapping[str, str]:
        """What the address asks for, empty fields left out."""
        return {name: value for name, value in self.request.query_params.items() if value}

    @property
    def path(self) -> Mapping[str, Any]:
        """The parts of the address that the route names."""
        parts: Mapping[str, Any] = self.request.path_params
        return parts

    def may(self, role: Role) -> bool:
        """Whether the reader's role includes `role`."""
        return self.reader.role.includes(role)

    def view_of(self, call: Call) -> CallView:
        """A call as this page may show it."""
        return CallView.of(call, full_numbers=self.revealed)

    def link_to(self, callid: str, channel: str | None = None) -> str:
        """The page of a call; "" where its callid is a number, and the reader has no right to see that."""
        return "" if is_number_like(callid) and not self.reader.full_numbers else self.links.call(callid, channel)

    async def read(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Do something that waits for the disk, away from the event loop."""
        return await run_in_threadpool(function, *arguments, **named)

    async def reveal(self, *target: str | int) -> "Visit":
        """The same visit with numbers in full, which is an audit event before it is an answer.

        Raises Forbidden where the reader does not have the right, LedgerUnavailable.
        """
        self.actor.require_full_numbers()
        await self.given.writer.ask(RecordAuditEvent(self.actor, AuditAction.NUMBERS_REVEALED, target))
        return replace(self, revealed=True)

    def here(self, **changes: str | None) -> str:
        """This page's address with other query fields; None takes one away."""
        query = {name: value for name, value in parse_qs(self._query).items() if name not in changes}
        made = query | {name: [value] for name, value in changes.items() if value is not None}
        made.pop("done", None)
        text = urlencode(made, doseq=True)
        return self._address + (f"?{text}" if text else "")

    def render(
        self, template: str, told: Mapping[str, Any] | Callable[[], Mapping[str, Any]], status: int = 200
    ) -> Response:
        """A page; `told` is for its template, beside what the frame has, and may be worked out where the page is rendered."""
        frame = {**frame_of(self.preferences, self.links), **self._frame()}
        return Page(
            template,
            lambda: {**frame, **(told() if callable(told) else told)},
            status,
            {"Content-Language": _tag(self.language)},
        )

    def redirect(self, path: str, done: str | None = None, **query: str) -> Response:
        """Go to another page after a form; it says `done_<done>` of the words at its top."""
        fields = query | ({} if done is None else {"done": done})
        return RedirectResponse(path + (f"?{urlencode(fields)}" if fields else ""), 303)

    def refuse(self, name: str, status: int, detail: str = "") -> Response:
        """A page that only says why not: `note_<name>` of the words."""
        return self.render("message.html", {"name": name, "detail": detail}, status)

    def _frame(self) -> dict[str, Any]:
        done = f"done_{self.query.get('done', '')}"
        return {
            "reader": self.reader,
            "csrf": self.session.token,
            "may": self.may,
            "here": self.here,
            "zone": self.given.zone,
            "zone_name": self.given.zone.key,
            "section": self._address.removeprefix(self.links.console).strip("/").partition("/")[0] or "overview",
            "now": datetime.now(UTC),
            "done": self.t.get(done) if self.request.method == "GET" else None,
        }

    @property
    def _address(self) -> str:
        return quote(self.request.scope["path"]) if self.request.method == "GET" else self._came_from[0]

    @property
    def _query(self) -> str:
        return self.request.url.query if self.request.method == "GET" else self._came_from[1]

    @property
    def _came_from(self) -> tuple[str, str]:
        """Path and query of the page that a form was on."""
        parts = urlsplit(self.request.headers.get("referer", ""))
        return (parts.path, parts.query) if self.links.holds(parts.path) else (self.links.console, "")


def frame_of(preferences: Preferences, links: Links) -> dict[str, Any]:
    """What every page has, whoever looks at it."""
    return {
        "base": links.base,
        "console": links.console,
        "asset": partial(asset_url, links),
        "delivery_url": links.delivery,
        "endpoint_url": links.endpoint,
        "list_url": links.list,
        "t": texts(preferences.language),
        "language": preferences.language,
        "languages": LANGUAGES,
        "tag": _tag,
        "theme": preferences.theme,
        "themes": THEMES,
    }


def _tag(language: str) -> str:
    return {"zh": "zh-CN"}.get(language, language)
