"""The options that several commands share, and the settings they make."""

from pathlib import Path
from typing import Annotated, Any

import typer

from answerback.config import Settings, read_settings

Config = Annotated[Path | None, typer.Option("--config", help="TOML file; answerback.toml by default.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where the data lies; answerback-data by default.")]


def settings_from(config: Path | None, **server: Any) -> Settings:
    """The settings, with those of the server that were given on the command line. Raises ConfigError."""
    given = {name: value for name, value in server.items() if value is not None}
    return read_settings(config, {"server": given} if given else {})
