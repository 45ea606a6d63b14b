"""`answerback migrate`, `channels` and `settings`: what an operator needs around the gateway."""

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from answerback.cli.options import Config, DataDir, Store, settings_from
from answerback.cli.output import AsJson, out, print_json, print_table, spoken_errors
from answerback.config import PREFIX, Settings, spelled
from answerback.errors import ConfigError


def migrate(
    months: Annotated[
        int,
        typer.Option(
            help="Make the partitions of so many months, too, from this one on: on PostgreSQL.", min=0, max=240
        ),
    ] = 0,
    data_dir: DataDir = None,
    store: Store = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Bring the ledger's schema up to this version of the program."""
    with spoken_errors():
        from answerback.ledger.migrations import HEAD
        from answerback.service.ledger_config import opening_of

        settings = settings_from(config, data_dir=data_dir, store=store)
        opening = opening_of(settings)
        if months and opening.store is None:
            raise ConfigError("--months: is for PostgreSQL, see --store: SQLite has no partitions")
        with contextlib.closing(opening.open(migrate=True)) as ledger:
            if months:
                ledger.make_months(months)
    place = str(settings.server.data_dir) if opening.store is None else opening.place
    if as_json:
        print_json({"schema": HEAD, "data_dir": str(settings.server.data_dir), "store": opening.place})
    else:
        out.print(f"the ledger in {place} has schema {HEAD}")


def channels(
    full: Annotated[bool, typer.Option("--full", help="Show the secret tokens.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """The channels and the callback URL of each, to paste into the cloud console."""
    from answerback.service.urls import callback_urls

    with spoken_errors():
        urls = callback_urls(settings_from(config, data_dir=data_dir))
    shown = {name: url if full else _without_token(url) for name, url in urls.items()}
    if as_json:
        print_json({"items": [{"channel": name, "callback_url": url} for name, url in shown.items()]})
    else:
        print_table(("channel", "callback URL"), list(shown.items()), "no channels")


def _without_token(url: str) -> str:
    base, path, token = url.partition("/voice/callback/")
    return f"{base}{path}…" if token else url


def settings(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Every setting: its value now, the variable that sets it, and what it does. Secrets stay hidden."""
    with spoken_errors():
        rows = list(_described(settings_from(config, data_dir=data_dir)))
    if as_json:
        print_json(
            {"items": [dict(zip(("setting", "value", "variable", "meaning"), row, strict=True)) for row in rows]}
        )
    else:
        print_table(("setting", "value", "variable", "meaning"), rows, "no settings", prose=True)


def _described(current: Settings) -> list[tuple[str, Any, str, str]]:
    rows = []
    for section, field in type(current).model_fields.items():
        values = getattr(current, section)
        if isinstance(values, dict):
            rows.append((section, ", ".join(values) or "default", "", field.description or ""))
            continue
        for name, detail in type(values).model_fields.items():
            variable = f"{PREFIX}{section.upper()}__{name.upper()}"
            value = getattr(values, name)
            shown = str(value) if isinstance(value, str | Path) else spelled(value)
            rows.append((f"{section}.{name}", shown, variable, detail.description or ""))
    return rows
