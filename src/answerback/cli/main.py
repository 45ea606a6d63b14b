"""The command `answerback`."""

import gc
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

COMMANDS = {
    "serve": (
        "serve.serve",
        "Receive callbacks until Ctrl-C or SIGTERM, and answer OK only once each is safe on disk.",
    ),
    "emulate": (
        "emulate.emulate",
        "Play Tencent Cloud's voice service: send by API 2.0 or 3.0, and calls live, end, and call back.",
    ),
    "send": (
        "send.send",
        "POST callbacks to URL as the cloud would, and show the answers; exit status 0 if all were accepted.",
    ),
    "load": (
        "load.load",
        "Send callbacks to URL at a rate, however slow it answers, and measure; exit status 0 if all were accepted.",
    ),
    "conform": (
        "conform.conform",
        "Send URL every form of callback and every mistake, and judge the answers; exit status 0 if no rule is broken.",
    ),
    "tail": (
        "tail.tail",
        "Show callbacks as they come in and attempts as they are made, until Ctrl-C. Numbers are masked.",
    ),
    "stats": ("stats.stats", "What the calls of some days come to: outcomes, times, minutes, failures."),
    "status": (
        "status.status",
        "Show all processes that serve the ledger, who tells which endpoint, and what is owed.",
    ),
    "export": (
        "export.export",
        "Write calls, callbacks, deliveries or statistics to a file, oldest first. Numbers are masked.",
    ),
    "import": (
        "import_.import_",
        "Record callbacks of former times; repeats are ignored, so it can be run again. Endpoints are not told.",
    ),
    "copy": (
        "copy.copy",
        "Copy a ledger between SQLite and PostgreSQL, also while it is served; run again, it goes on and catches up.",
    ),
    "migrate": ("admin.migrate", "Bring the ledger's schema up to this version of the program."),
    "doctor": (
        "doctor.doctor",
        "Look for what would keep the gateway from keeping its word; exit status 1 if something is bad.",
    ),
    "prune": (
        "prune.prune",
        "Drop calls, callbacks and deliveries of months long over, on PostgreSQL; statistics stay.",
    ),
    "channels": ("admin.channels_app", "The voice applications, by name."),
    "config": ("admin.config_app", "What the gateway is set to."),
    "calls": ("calls.calls_app", "What became of the calls."),
    "callbacks": ("calls.callbacks_app", "The callbacks as they were received."),
    "endpoints": ("endpoints.app", "The business URLs that are told of the calls."),
    "deliveries": ("deliveries.app", "What was told to whom."),
    "quarantine": ("quarantine.app", "Bodies that could not be understood."),
    "alerts": ("alerts.app", "Who is told when something is wrong."),
    "keys": ("keys.app", "The API keys, and what each may do."),
}
"""Command -> where in `answerback.cli` its function is, or the app of those below it, and what it says of itself first."""


class _Commands(Mapping[str, Any]):
    """The commands by name. Each is imported when it is asked for: a start should not wait for all the others."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(name, *COMMANDS[name][0].split("."))
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _load(name: str, module: str, function: str) -> Any:
    """The command as Typer makes it."""
    gc.disable()  # importing leaves next to nothing to collect, and looking for it takes a quarter of the time
    try:
        found = getattr(import_module(f"answerback.cli.{module}"), function)
    finally:
        gc.enable()
    around = typer.Typer()
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name)
    else:
        around.command(name)(found)
    return get_group(around).commands[name]


class CommandGroup(TyperGroup):
    """All commands, none of them imported before it is run."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"commands": _Commands()})

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """List the commands by what the table says of them: to import them all takes three times as long."""
        listed = TyperGroup(
            name=self.name,
            commands={name: TyperCommand(name, help=summary) for name, (_, summary) in COMMANDS.items()},
            params=self.params,
            help=self.help,
            rich_markup_mode=self.rich_markup_mode,
        )
        listed.format_help(ctx, formatter)


app = typer.Typer(
    name="answerback",
    cls=CommandGroup,
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
