"""Templates into pages: the environment, and the filters that write numbers, shares, times and durations."""

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_TEMPLATES = Path(__file__).parent / "templates"
_MINUTE_S = 60
_HOUR_S = 3600
_KIB = 1024
_ABSENT = "–"

Render = Callable[[str, Mapping[str, Any]], str]


class TemplateResponse(Response):
    """A page of `template`, which is rendered in a thread when it is sent: a large one takes longer than the loop may be held."""

    media_type = "text/html"

    def __init__(
        self,
        template: str,
        values: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(None, status, headers)
        self._template = template
        self._values = values

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.body = await run_in_threadpool(self._render)
        self.headers["Content-Length"] = str(len(self.body))
        await super().__call__(scope, receive, send)

    def _render(self) -> bytes:
        values = self._values() if callable(self._values) else self._values
        return template_renderer()(self._template, values).encode()


@cache
def template_renderer() -> Render:
    """Template name and values -> page; templates are compiled once."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "grouped": format_number,
        "percent": format_percent,
        "duration": _duration,
        "size": _size,
        "moment": _moment,
        "day": _day,
    }
    return lambda template, values: environment.get_template(template).render(values)


def format_number(number: float | None) -> str:
    """1234567 -> 1,234,567."""
    return _ABSENT if number is None else f"{number:,}"


def format_percent(share: float | None, digits: int = 1) -> str:
    """0.9731 -> 97.3%."""
    return _ABSENT if share is None else f"{share:.{digits}%}"


def format_duration(seconds: float | None, words: Mapping[str, str]) -> str:
    """12 -> 12 s; 65 -> 1 m 05 s; 3600 -> 1 h 00 m."""
    if seconds is None:
        return _ABSENT
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole}{words['unit_s']}"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S}{words['unit_m']}{whole % _MINUTE_S:02}{words['unit_s']}"
    return f"{whole // _HOUR_S:,}{words['unit_h']}{whole % _HOUR_S // _MINUTE_S:02}{words['unit_m'].rstrip()}"


def format_size(size_bytes: int, words: Mapping[str, str]) -> str:
    """68 -> 68 bytes; 2048 -> 2.0 KiB."""
    if size_bytes < _KIB:
        return f"{size_bytes} {words['unit_bytes']}"
    size, unit = size_bytes / _KIB, "KiB"
    for larger in ("MiB", "GiB"):
        if size >= _KIB:
            size, unit = size / _KIB, larger
    return f"{size:.1f} {unit}"


@pass_context
def _size(context: Context, size_bytes: int) -> str:
    return format_size(size_bytes, context["t"])


@pass_context
def _duration(context: Context, seconds: float | None) -> str:
    return format_duration(seconds, context["t"])


@pass_context
def _moment(context: Context, when: datetime | None) -> str:
    """A point in time by the clock of the console's zone, to the second."""
    if when is None:
        return _ABSENT
    local = to_local_time(when, context["zone"])
    return Markup('<time datetime="{}">{}</time>').format(local.isoformat(), f"{local:%Y-%m-%d %H:%M:%S}")


@pass_context
def _day(context: Context, when: datetime) -> str:
    """The day of a point in time, in the console's zone."""
    return f"{to_local_time(when, context['zone']):%Y-%m-%d}"


def to_local_time(when: datetime, zone: tzinfo) -> datetime:
    """By the clock of `zone`; at the end of time, where there is no later hour, as it is."""
    try:
        return when.astimezone(zone)
    except OverflowError:
        return when
