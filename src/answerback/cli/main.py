"""The command `answerback`."""

from importlib.metadata import version
from typing import Annotated

import typer

from answerback.cli import (
    alerts,
    calls,
    conform,
    deliveries,
    emulate,
    endpoints,
    export,
    import_,
    keys,
    load,
    operate,
    quarantine,
    send,
    serve,
    stats,
    tail,
)

app = typer.Typer(
    name="answerback",
    help="Know what became of every voice call: a gateway for Tencent Cloud voice-message callbacks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"answerback {version('answerback')}")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Know what became of every voice call."""


app.command()(serve.serve)
app.command()(emulate.emulate)
app.command()(send.send)
app.command()(load.load)
app.command()(conform.conform)
app.add_typer(calls.calls_app, name="calls")
app.add_typer(calls.callbacks_app, name="callbacks")
app.add_typer(endpoints.app, name="endpoints")
app.add_typer(deliveries.app, name="deliveries")
app.command()(tail.tail)
app.command()(stats.stats)
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(alerts.app, name="alerts")
app.add_typer(keys.app, name="keys")
app.command()(export.export)
app.command("import")(import_.import_)
app.command()(operate.migrate)
app.command()(operate.doctor)
app.command()(operate.channels)
app.command()(operate.settings)
