"""The options that several commands share, and the settings they make."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from answerback.cli.language import tr
from answerback.cli.output import describe_error, err
from answerback.domain.endpoints import DeliveryState
from answerback.domain.models import CallbackKind, Outcome
from answerback.errors import AnswerbackError, ConfigError
from answerback.ledger.types import MAX_PAGE_SIZE

if TYPE_CHECKING:
    from answerback.client import Client
    from answerback.config import Settings
    from answerback.inbox import Waiting
    from answerback.ledger import Ledger

Config = Annotated[Path | None, typer.Option("--config", help="TOML file; answerback.toml by default.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="The data directory; answerback-data by default.")]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url", help="The ledger's database: postgresql://user@host/name; by default a file in --data-dir."
    ),
]
Url = Annotated[
    str | None, typer.Option("--url", help="The gateway's URL; by default that of the gateway running in --data-dir.")
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file", help="File with the API key; by default ANSWERBACK_KEY, or else the admin key of --data-dir."
    ),
]

Timezone = Annotated[str, typer.Option("--timezone", help="Time zone of times that name none.")]

Limit = Annotated[int, typer.Option(min=1, max=MAX_PAGE_SIZE, help="Maximum number of rows.")]
Cursor = Annotated[str | None, typer.Option(help="The next_cursor of the previous page.")]
ByChannel = Annotated[str | None, typer.Option(help="Only this channel.")]
ByMobile = Annotated[str | None, typer.Option(help="Only calls to this number, in any notation.")]
ByOutcome = Annotated[Outcome | None, typer.Option(help="Only calls with this outcome.")]
ByKind = Annotated[CallbackKind | None, typer.Option(help="Only calls of this kind.")]
ByFailureCode = Annotated[int | None, typer.Option(help="Only calls with this failure code.")]
ByReference = Annotated[str | None, typer.Option(help="Only calls with this reference.")]
ByEndpoint = Annotated[str | None, typer.Option(help="Only deliveries to this endpoint.")]
ByState = Annotated[DeliveryState | None, typer.Option(help="Only deliveries in this state.")]
ByCallid = Annotated[str | None, typer.Option(help="Only deliveries of this call.")]

TIME_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]
UtcTime = Annotated[datetime | None, typer.Option(formats=TIME_FORMATS, help="In UTC.")]

_OPTION_SETTINGS = {"database_url": ("ledger", "url"), "stream": ("stream", "url")}
"""Options of sections other than `server`."""


def load_zone(timezone: str) -> ZoneInfo:
    """Parse --timezone. Raises ConfigError."""
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError("--timezone: expected a name such as Asia/Shanghai or UTC") from error


@contextmanager
def open_client(
    config: Path | None, url: str | None, key_file: Path | None = None, **options: Any
) -> Iterator["Client"]:
    """A client of the gateway at `url`, by default of the one that runs on the data directory; the key is its admin key, if no other is given.

    Changes go through the gateway, so that they take effect at once. Raises ConfigError, ApiError.
    """
    from answerback.auth.api_keys import FILE_NAME as KEY_NAME
    from answerback.client import Client, ConnectionFailed
    from answerback.service.urls import URL_NAME

    directory = load_cli_settings(config, **options).server.data_dir
    url = url or _read(directory / URL_NAME, "no gateway is running here: start it with `answerback serve`")
    key = os.environ.get("ANSWERBACK_KEY") if key_file is None else None
    key = key or _read(key_file or directory / KEY_NAME, "there is no API key here: name its file with --key-file")
    with Client(url, key) as client:
        try:
            yield client
        except ConnectionFailed as error:
            raise ConfigError(f"{error}; start it, or name it with --url") from error


def _read(path: Path, otherwise: str) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigError(f"{path}: {otherwise}") from error


@contextmanager
def open_ledger(config: Path | None, **options: Any) -> Iterator["Ledger"]:
    """Open the ledger that these options name. Raises ConfigError where there is none."""
    from answerback.service.ledger_config import open_for_reading

    with open_for_reading(load_cli_settings(config, **options)) as ledger:
        yield ledger


@contextmanager
def open_calls(config: Path | None, **options: Any) -> Iterator["Ledger"]:
    """Open the ledger for what it knows of calls, and say on standard error what it does not know yet."""
    settings = load_cli_settings(config, **options)
    with open_recorded(settings) as ledger:
        yield ledger


@contextmanager
def open_recorded(settings: "Settings") -> Iterator["Ledger"]:
    """The same, of settings that are loaded already. Raises AnswerbackError."""
    from answerback.service.ledger_config import open_for_reading

    with open_for_reading(settings) as ledger:
        waiting = find_waiting(settings, ledger)
        if waiting is not None and waiting.rows:
            err.print(f"{tr('not in the ledger yet:')} {describe_waiting(waiting)}", soft_wrap=True)
        yield ledger


def find_waiting(settings: "Settings", ledger: "Ledger") -> "Waiting | None":
    """What waits in the inbox of this machine; None where there is none, or, as standard error says then, it cannot be read."""
    from answerback.inbox import FILE_NAME, InboxReader
    from answerback.ledger.commands import LogPositions
    from answerback.service.factories import inbox_config

    path = inbox_config(settings).directory / FILE_NAME
    if not path.exists():
        return None
    try:
        with closing(InboxReader(path)) as reader:
            logs = [generation.id for generation in reader.generations()]
            return reader.waiting(LogPositions(logs).run(ledger))
    except AnswerbackError as error:
        said = tr("the inbox cannot be read, what waits in it is not known: {problem}", problem=describe_error(error))
        err.print(said, soft_wrap=True, markup=False)
        return None


def describe_waiting(waiting: "Waiting") -> str:
    """How much waits in an inbox, and for how long."""
    return tr(
        "{callbacks:,} callbacks wait in the inbox, the oldest for {age_s:,.0f} s",
        callbacks=waiting.callbacks,
        age_s=waiting.age_s,
    )


def load_cli_settings(config: Path | None, **options: Any) -> "Settings":
    """Load the settings, with the command line's on top. Raises ConfigError."""
    from answerback.config import load_settings

    overrides: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        if value is not None:
            section, setting = _OPTION_SETTINGS.get(name, ("server", name))
            overrides.setdefault(section, {})[setting] = value
    return load_settings(config, overrides)
