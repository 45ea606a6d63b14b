"""The context of a request: who is signed in, their preferences, and how a page responds."""

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
from answerback.console.dependencies import ConsoleDependencies
from answerback.console.links import Links
from answerback.console.model.system_status import RECORDER_BEHIND_S
from answerback.console.preferences import THEMES, Preferences
from answerback.console.render import TemplateResponse
from answerback.console.session import Session
from answerback.console.texts import texts
from answerback.domain.models import ApiKey, Call, Role
from answerback.domain.phone_numbers import is_number_like
from answerback.http_protocol import RECORDER_LAG_S
from answerback.i18n import LANGUAGES
from answerback.ledger.admin.audit import Actor, AuditAction
from answerback.ledger.commands import RecordAuditEvent
from answerback.ledger.types import from_us
from answerback.schemas.calls import CallView

T = TypeVar("T")

Form = Mapping[str, str]
"""The fields of a form that was sent, each with its last value."""


@dataclass(frozen=True, kw_only=True)
class RequestContext:
    """What a page works with. `unmasked`: it may show phone numbers in full, in this response only.

    `form` has the last value of each field that was sent, `form_values` all of them.
    """

    deps: ConsoleDependencies
    request: Request
    session: Session
    preferences: Preferences
    form: Form = field(default_factory=dict)
    form_values: Mapping[str, list[str]] = field(default_factory=dict)
    unmasked: bool = False

    @property
    def principal(self) -> ApiKey:
        return self.session.principal

    @property
    def actor(self) -> Actor:
        """The same, as the audit log names them."""
        return Actor.of(self.principal)

    @property
    def links(self) -> Links:
        return self.deps.links

    @property
    def language(self) -> str:
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

    def has_role(self, role: Role) -> bool:
        return self.principal.role.includes(role)

    def view_of(self, call: Call) -> CallView:
        """A call as this page may show it."""
        return CallView.of(call, full_numbers=self.unmasked)

    def link_to(self, callid: str, channel: str | None = None) -> str:
        """The page of a call; "" where its callid is a number, and the reader has no right to see that."""
        return "" if is_number_like(callid) and not self.principal.full_numbers else self.links.call(callid, channel)

    async def run_in_thread(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Do something that waits for the disk, away from the event loop."""
        return await run_in_threadpool(function, *arguments, **named)

    async def unmask(self, *target: str | int) -> "RequestContext":
        """The same context with numbers in full, which is an audit event before it is a response.

        Raises PermissionDenied where the reader does not have the right, LedgerUnavailable.
        """
        self.actor.require_full_numbers()
        await self.deps.ledger_client.execute(RecordAuditEvent(self.actor, AuditAction.NUMBERS_REVEALED, target))
        return replace(self, unmasked=True)

    def url_with(self, **changes: str | None) -> str:
        """This page's address with other query fields; None takes one away."""
        query = {name: value for name, value in parse_qs(self._page_query).items() if name not in changes}
        made = query | {name: [value] for name, value in changes.items() if value is not None}
        made.pop("done", None)
        text = urlencode(made, doseq=True)
        return self._page_path + (f"?{text}" if text else "")

    def render(
        self, template: str, values: Mapping[str, Any] | Callable[[], Mapping[str, Any]], status: int = 200
    ) -> Response:
        """A page; `values` are for its template, beside those of the layout, and may be worked out where it is rendered."""
        frame = {**layout_values(self.preferences, self.links), **self._layout_values()}
        return TemplateResponse(
            template,
            lambda: {**frame, **(values() if callable(values) else values)},
            status,
            {"Content-Language": _language_tag(self.language)},
        )

    def redirect(self, path: str, done: str | None = None, **query: str) -> Response:
        """Go to another page after a form; it shows the text `done_<done>` at its top."""
        fields = query | ({} if done is None else {"done": done})
        return RedirectResponse(path + (f"?{urlencode(fields)}" if fields else ""), 303)

    def error_page(self, name: str, status: int, detail: str = "") -> Response:
        """A page with the text `message_<name>`."""
        return self.render("message.html", {"name": name, "detail": detail}, status)

    def _layout_values(self) -> dict[str, Any]:
        lag_s = self.request.scope.get(RECORDER_LAG_S, 0.0)
        recorder = self.deps.recorder
        failure = recorder.note_failure() if recorder is not None and lag_s >= RECORDER_BEHIND_S else None
        done = f"done_{self.query.get('done', '')}"
        return {
            "principal": self.principal,
            "csrf": self.session.token,
            "has_role": self.has_role,
            "url_with": self.url_with,
            "zone": self.deps.zone,
            "zone_name": self.deps.zone.key,
            "section": self._page_path.removeprefix(self.links.console).strip("/").partition("/")[0] or "overview",
            "now": datetime.now(UTC),
            "recorder_lag_s": lag_s if lag_s >= RECORDER_BEHIND_S else None,
            "recorder_failure": None if failure is None else (failure.reason, from_us(failure.since_us)),
            "done": self.t.get(done) if self.request.method == "GET" else None,
        }

    @property
    def _page_path(self) -> str:
        return quote(self.request.scope["path"]) if self.request.method == "GET" else self._referring_page[0]

    @property
    def _page_query(self) -> str:
        return self.request.url.query if self.request.method == "GET" else self._referring_page[1]

    @property
    def _referring_page(self) -> tuple[str, str]:
        """Path and query of the page that a form was on."""
        parts = urlsplit(self.request.headers.get("referer", ""))
        return (parts.path, parts.query) if self.links.contains(parts.path) else (self.links.console, "")


def layout_values(preferences: Preferences, links: Links) -> dict[str, Any]:
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
        "tag": _language_tag,
        "theme": preferences.theme,
        "themes": THEMES,
    }


def _language_tag(language: str) -> str:
    return {"zh": "zh-CN"}.get(language, language)
