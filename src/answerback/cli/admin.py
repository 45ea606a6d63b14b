"""`answerback migrate`, `list_channels` and `show_config`: what an operator needs around the gateway."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from answerback.cli.language import tr, tr_all, tr_setting
from answerback.cli.options import AsJson, Config, DatabaseUrl, DataDir, load_cli_settings
from answerback.cli.output import out, print_table
from answerback.cli.plain_output import print_json
from answerback.config import PREFIX, Settings, format_value
from answerback.domain.masking import mask_token
from answerback.errors import ConfigError


def migrate(
    months: Annotated[
        int,
        typer.Option(
            help="Also create partitions for this many months, starting with the current one; PostgreSQL only.",
            min=0,
            max=240,
        ),
    ] = 0,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    from answerback.ledger.backends.postgresql.partitions import create_partitions
    from answerback.ledger.migrations import HEAD
    from answerback.service.ledger_config import ledger_config

    settings = load_cli_settings(config, data_dir=data_dir, database_url=database_url)
    store = ledger_config(settings)
    if months and store.url is None:
        raise ConfigError("--months: is for PostgreSQL, see --database-url: SQLite has no partitions")
    with contextlib.closing(store.open(migrate=True)) as ledger:
        if months:
            ledger.write(lambda connection, _: create_partitions(connection, datetime.now(UTC), months))
    place = str(settings.server.data_dir) if store.url is None else store.location
    if as_json:
        print_json({"schema": HEAD, "data_dir": str(settings.server.data_dir), "store": store.location})
    else:
        out.print(tr("the ledger in {place} has schema {schema}", place=place, schema=HEAD))


channels_app = typer.Typer(no_args_is_help=True)
config_app = typer.Typer(no_args_is_help=True)


@channels_app.command("list")
def list_channels(
    full: Annotated[bool, typer.Option("--full", help="Show the secret tokens.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the channels with their callback URLs, to paste into the cloud console."""
    from answerback.service.urls import callback_urls

    urls = callback_urls(load_cli_settings(config, data_dir=data_dir))
    shown = {name: url if full else mask_token(url) for name, url in urls.items()}
    if as_json:
        print_json({"items": [{"channel": name, "callback_url": url} for name, url in shown.items()]})
    else:
        print_table(tr_all("channel", "callback URL"), list(shown.items()), tr("no channels"))


@config_app.command("show")
def show_config(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """List every setting: its current value, its environment variable and what it does. Secrets are hidden."""
    rows = list(_describe_settings(load_cli_settings(config, data_dir=data_dir)))
    if as_json:
        print_json(
            {"items": [dict(zip(("setting", "value", "variable", "meaning"), row, strict=True)) for row in rows]}
        )
    else:
        columns = tr_all("setting", "value", "variable", "meaning")
        print_table(columns, [(*row[:-1], tr_setting(row[-1])) for row in rows], tr("no settings"), prose=True)


def _describe_settings(current: Settings) -> list[tuple[str, Any, str, str]]:
    rows = []
    for section, field in type(current).model_fields.items():
        values = getattr(current, section)
        if isinstance(values, dict):
            rows.append((section, ", ".join(values) or "default", "", field.description or ""))
            continue
        for name, detail in type(values).model_fields.items():
            variable = f"{PREFIX}{section.upper()}__{name.upper()}"
            value = getattr(values, name)
            shown = str(value) if isinstance(value, str | Path) else format_value(value)
            rows.append((f"{section}.{name}", shown, variable, detail.description or ""))
    return rows
