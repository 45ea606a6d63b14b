"""The form that makes and changes an endpoint: read, and held against what an endpoint may be; pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pydantic import ValidationError

from answerback.config import EndpointSettings
from answerback.domain.endpoint_headers import hide_values, keep_values, parse_header_lines
from answerback.domain.endpoints import Endpoint, EndpointConfig, validate_endpoint_name
from answerback.domain.models import CallbackKind, Outcome
from answerback.errors import AnswerbackError

OUTCOMES = (Outcome.ANSWERED, Outcome.UNANSWERED, Outcome.FAILED)
KINDS = tuple(CallbackKind)


class InvalidForm(AnswerbackError):
    """What was filled in is no endpoint; `problems` says of each field at fault why."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{field}: {problem}" for field, problem in problems.items()))


class EndpointForm(NamedTuple):
    """What is filled in, as text. No kind and no outcome: all of them."""

    name: str = ""
    channel: str = ""
    url: str = ""
    format: str = "standard"
    kinds: Sequence[str] = ()
    outcomes: Sequence[str] = ()
    failure_codes: str = ""
    number_prefixes: str = ""
    reference_prefixes: str = ""
    notify_on_update: bool = False
    enabled: bool = True
    timeout_s: str = "10"
    concurrency: str = "8"
    secret: str = ""
    certificate: str = ""
    headers: str = ""
    success: str = ""
    retry_schedule_s: str = ""
    proxy: str = ""


_CHOICES = ("kinds", "outcomes")
_SWITCHES = ("notify_on_update", "enabled")
_TEXTS = tuple(name for name in EndpointForm._fields if name not in _CHOICES + _SWITCHES)
_LISTS = ("failure_codes", "number_prefixes", "reference_prefixes", "retry_schedule_s")
_OPTIONAL = ("secret", "certificate", "success", "retry_schedule_s", "proxy")


def parse_form(fields: Mapping[str, Sequence[str]]) -> EndpointForm:
    """The form as a browser sends it; a box that is not ticked is not in it."""
    texts = {name: fields[name][-1].strip() for name in _TEXTS if fields.get(name)}
    switches = {name: name in fields for name in _SWITCHES}
    choices = {name: tuple(fields.get(name, ())) for name in _CHOICES}
    return EndpointForm(**texts, **switches, **choices)  # type: ignore[arg-type]  # each is what its field is


def _split(text: str) -> list[str]:
    """The parts of a text between commas, Chinese ones too."""
    return [part.strip() for part in text.replace("，", ",").split(",") if part.strip()]


def _join(parts: Iterable[object] | None) -> str:
    return ", ".join(str(part).removesuffix(".0") for part in parts or ())


def form_from_endpoint(endpoint: Endpoint) -> EndpointForm:
    """The form filled in with what an endpoint is."""
    defined = endpoint.config
    return EndpointForm(
        name=endpoint.name,
        channel=endpoint.channel,
        url=defined.url,
        format=defined.format.value,
        kinds=tuple(kind.value for kind in defined.kinds),
        outcomes=tuple(outcome.value for outcome in defined.outcomes),
        **{name: _join(getattr(defined, name)) for name in _LISTS},
        notify_on_update=defined.notify_on_update,
        enabled=endpoint.enabled,
        timeout_s=f"{defined.timeout_s:g}",
        concurrency=str(defined.concurrency),
        certificate=defined.certificate or "",
        headers="\n".join(f"{name}: {value}" for name, value in hide_values(defined.headers).items()),
        success=defined.success or "",
        proxy=defined.proxy or "",
    )


def validate_form(form: EndpointForm, channels: Sequence[str], known: Endpoint | None) -> EndpointSettings:
    """The endpoint that is asked for; None is `known` of a new one. Raises InvalidForm with every field at fault."""
    problems: dict[str, str] = {}
    if known is None and form.name and (problem := validate_endpoint_name(form.name)):
        problems["name"] = problem
    if form.channel not in channels:
        problems["channel"] = f"there is no channel {form.channel}" if form.channel else "is empty"
    values = {name: getattr(form, name) for name in EndpointSettings.model_fields}
    values |= {name: _split(values[name]) for name in _LISTS}
    values |= {name: values[name] or None for name in _OPTIONAL}
    headers = parse_header_lines(form.headers.splitlines())
    values["headers"] = keep_values(
        headers, {} if known is None else known.config.values_for(form.url, form.proxy or None)
    )
    try:
        settings = EndpointSettings(**values)
    except ValidationError as error:
        for fault in error.errors():
            problems.setdefault(str(fault["loc"][0]), str(fault["msg"]).removeprefix("Value error, "))
        raise InvalidForm(problems) from error
    if problems:
        raise InvalidForm(problems)
    return settings


def diff_settings(settings: EndpointSettings, endpoint: Endpoint) -> tuple[str | None, EndpointConfig | None]:
    """The channel and the config where they are others than the endpoint's."""
    changed = settings.endpoint_config()
    return (
        settings.channel if settings.channel != endpoint.channel else None,
        changed if changed != endpoint.config else None,
    )
