"""The command `answerback`."""

import gc
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

_PLACES = {
    "serve": "serve.serve",
    "emulate": "emulate.emulate",
    "send": "send.send",
    "load": "load.load",
    "conform": "conform.conform",
    "tail": "tail.tail",
    "stats": "stats.stats",
    "status": "status.status",
    "export": "export.export",
    "import": "import_.import_",
    "copy": "copy.copy",
    "migrate": "operate.migrate",
    "doctor": "operate.doctor",
    "prune": "prune.prune",
    "channels": "operate.channels",
    "settings": "operate.settings",
    "calls": "calls.calls_app",
    "callbacks": "calls.callbacks_app",
    "endpoints": "endpoints.app",
    "deliveries": "deliveries.app",
    "quarantine": "quarantine.app",
    "alerts": "alerts.app",
    "keys": "keys.app",
}
"""Command -> where in `answerback.cli` its function is, or the app of those below it."""


class _Commands(Mapping[str, Any]):
    """The commands by name. Each is imported when it is asked for: a start should not wait for all the others."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(name, *_PLACES[name].split("."))
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


def _load(name: str, module: str, member: str) -> Any:
    """The command as Typer makes it."""
    gc.disable()  # importing leaves next to nothing to collect, and looking for it takes a quarter of the time
    try:
        found = getattr(import_module(f"answerback.cli.{module}"), member)
    finally:
        gc.enable()
    around = typer.Typer()
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name)
    else:
        around.command(name)(found)
    return get_group(around).commands[name]


class _Group(TyperGroup):
    def __init__(self, **given: Any) -> None:
        super().__init__(**given | {"commands": _Commands()})


app = typer.Typer(
    name="answerback",
    cls=_Group,
    help="Know what became of every voice call: a gateway for Tencent Cloud voice-message callbacks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"answerback {version('answerback')}")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Know what became of every voice call."""
