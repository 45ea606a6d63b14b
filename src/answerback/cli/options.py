"""The options that several commands share, and the settings they make."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

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

Timezone = Annotated[str, typer.Option("--timezone", help="Time zone of times that name none.")]

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
