"""The command `answerback`."""

import gc
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from answerback.errors import AnswerbackError, LedgerUnavailable

COMMANDS = {
    "serve": (
        "serve.serve",
        "Receive callbacks until Ctrl-C or SIGTERM, and answer OK only once each is safe on disk.",
    ),
    "emulate": (
        "emulate.emulate",
        "Emulate Tencent Cloud's voice service: accept API 2.0 and 3.0 requests, play out the calls and send callbacks.",
    ),
    "snippet": (
        "snippet.snippet",
        "Print programs that send by `answerback emulate` with the vendor's SDKs, ready to paste.",
    ),
    "send": (
        "send.send",
        "POST callbacks to URL as the cloud would and show the responses; exit status 0 if all were accepted.",
    ),
    "load": (
        "load.load",
        (
            "Load-test URL: send callbacks at a fixed rate and measure latency; exit status 0 if all were accepted."
            "\n\nLatency counts from the moment a callback is due to be sent, so waiting for a connection is part of it."
        ),
    ),
    "conform": (
        "conform.conform",
        "Check a callback receiver against the vendor's contract, rule by rule; exit status 0 if no rule is broken.",
    ),
    "tail": (
        "tail.tail",
        "Follow callbacks and delivery attempts as they happen, until Ctrl-C. Phone numbers are masked.",
    ),
    "stats": (
        "stats.stats",
        "Show call statistics for a range of days: outcomes, durations, billed minutes, failures.",
    ),
    "status": (
        "status.status",
        "Show the gateway's processes, which of them delivers to each endpoint, and the backlog.",
    ),
    "export": (
        "export.export",
        "Write calls, callbacks, deliveries or statistics to a file, oldest first. Phone numbers are masked.",
    ),
    "import": (
        "import_.import_",
        "Record old callbacks from files or access logs. Duplicates are ignored, so it can be run again; nothing is delivered.",
    ),
    "inbox": ("inbox.app", "Inboxes: callbacks that were answered and wait to be recorded."),
    "backup": (
        "backup.backup",
        (
            "Copy inbox, ledger, admin key and server secret into a directory while the gateway runs, and verify the copy."
            "\n\nA ledger in PostgreSQL is backed up with its own tools, after this."
        ),
    ),
    "restore": (
        "backup.restore",
        "Verify a backup, and put it back into an empty data directory.",
    ),
    "copy": (
        "copy.copy",
        (
            "Copy a ledger between SQLite and PostgreSQL, even while a gateway is running; run it again to catch up."
            "\n\nRun it a last time after stopping the old gateway: only when both are equal can the copy be served."
        ),
    ),
    "migrate": ("admin.migrate", "Upgrade the ledger's schema to this version of the program."),
    "doctor": (
        "doctor.doctor",
        "Check settings and environment for anything that would break the gateway's guarantees; exit status 1 on an error.",
    ),
    "prune": ("prune.prune", "Drop old months of calls, callbacks and deliveries, on PostgreSQL; statistics stay."),
    "channels": ("admin.channels_app", "Channels: one for each voice application."),
    "config": ("admin.config_app", "The gateway's settings."),
    "calls": ("calls.calls_app", "Calls and their outcomes."),
    "callbacks": ("calls.callbacks_app", "Callbacks as they were received."),
    "endpoints": ("endpoints.app", "Endpoints: the webhook URLs that events are delivered to."),
    "deliveries": ("deliveries.app", "Deliveries of events to endpoints, and replays."),
    "quarantine": ("quarantine.app", "Request bodies that could not be parsed."),
    "alerts": ("alerts.app", "Alert rules and notifications."),
    "keys": ("keys.app", "API keys and their roles."),
}
"""Command -> where in `answerback.cli` its function or its group of commands is, and its help, of which the list of commands
shows the first paragraph."""


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
    """The Typer command of that name."""
    gc.disable()  # importing leaves next to nothing to collect, and looking for it takes a quarter of the time
    try:
        found = getattr(import_module(f"answerback.cli.{module}"), function)
    finally:
        gc.enable()
    around = typer.Typer()
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name, help=COMMANDS[name][1])
    else:
        around.command(name, help=COMMANDS[name][1])(found)
    return get_group(around).commands[name]


class CommandGroup(TyperGroup):
    """All commands, none of them imported before it is run."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"commands": _Commands()})

    def invoke(self, ctx: Any) -> Any:
        """Run a command; what goes wrong is one line and exit status 1."""
        try:
            return super().invoke(ctx)
        except AnswerbackError as error:
            from rich.markup import escape

            from answerback.cli.output import fail

            fail(escape(error.explanation if isinstance(error, LedgerUnavailable) else str(error)))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """List the commands from the table: importing them all takes three times as long."""
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


def _show_version(asked: bool) -> None:
    if asked:
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
