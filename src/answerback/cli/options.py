"""The options that several commands share, and the settings they make."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from answerback.domain.endpoints import DeliveryState
from answerback.domain.models import MAX_PAGE_SIZE, CallbackKind, Outcome
from answerback.errors import ConfigError

if TYPE_CHECKING:
    from answerback.config import Settings

Config = Annotated[Path | None, typer.Option("--config", help="TOML file; answerback.toml by default.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="The data directory; answerback-data by default.")]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url", help="The ledger's database: postgresql://user@host/name; by default a file in --data-dir."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FullNumbers = Annotated[bool, typer.Option("--unmask", help="Show phone numbers unmasked.")]
Timezone = Annotated[str, typer.Option("--timezone", help="Time zone of times that name none.")]

ByChannel = Annotated[str | None, typer.Option(help="Only this channel.")]
ByMobile = Annotated[str | None, typer.Option(help="Only calls to this number, in any notation.")]
ByOutcome = Annotated[Outcome | None, typer.Option(help="Only calls with this outcome.")]
ByKind = Annotated[CallbackKind | None, typer.Option(help="Only calls of this kind.")]

TIME_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]


def _to_utc(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=UTC)


UtcTime = Annotated[datetime | None, typer.Option(formats=TIME_FORMATS, callback=_to_utc, help="In UTC.")]
ZonedTime = Annotated[datetime | None, typer.Option(formats=TIME_FORMATS, help="In --timezone.")]


# Options that go on as they are, by the names that they have in /v1 and in the client: `**filters: Unpack[...]` of a
# command for a gateway stands for all of a group.


class PagingOptions(TypedDict):
    page_size: Annotated[int, typer.Option("--limit", min=1, max=MAX_PAGE_SIZE, help="Maximum number of rows.")]
    cursor: Annotated[str | None, typer.Option(help="The next_cursor of the previous page.")]


class CallOptions(TypedDict):
    channel: ByChannel
    mobile: ByMobile
    outcome: ByOutcome
    kind: ByKind
    failure_code: Annotated[int | None, typer.Option(help="Only calls with this failure code.")]
    reference: Annotated[str | None, typer.Option(help="Only calls with this reference.")]


class DeliveryOptions(TypedDict):
    endpoint: Annotated[str | None, typer.Option(help="Only deliveries to this endpoint.")]
    state: Annotated[DeliveryState | None, typer.Option(help="Only deliveries in this state.")]
    callid: Annotated[str | None, typer.Option(help="Only deliveries of this call.")]


class TimeOptions(TypedDict):
    since: UtcTime
    until: UtcTime


class CallListOptions(CallOptions, TimeOptions, PagingOptions): ...


class DeliveryListOptions(DeliveryOptions, PagingOptions):
    channel: ByChannel


class ExportOptions(CallOptions, DeliveryOptions):
    since: ZonedTime
    until: ZonedTime
    timezone: Timezone


class ReplayOptions(TimeOptions):
    outcome: ByOutcome
    kind: ByKind
    mobile: ByMobile


DEFAULTS: Mapping[str, object] = {"page_size": 50, "timezone": "UTC", "notify_on_update": False}
"""What an option of a group is where nobody says; of all others it is None."""

_OPTION_SETTINGS = {"database_url": ("ledger", "url"), "stream": ("stream", "url")}
"""Options of sections other than `server`."""


def load_zone(timezone: str) -> ZoneInfo:
    """Parse --timezone. Raises ConfigError."""
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError("--timezone: expected a name such as Asia/Shanghai or UTC") from error


def load_cli_settings(config: Path | None, **options: Any) -> "Settings":
    """Load the settings, with the command line's on top. Raises ConfigError."""
    from answerback.config import load_settings

    overrides: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        if value is not None:
            section, setting = _OPTION_SETTINGS.get(name, ("server", name))
            overrides.setdefault(section, {})[setting] = value
    return load_settings(config, overrides)
