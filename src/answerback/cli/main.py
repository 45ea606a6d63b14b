"""The command `answerback`."""

import gc
import io
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_group

from answerback.cli.commands import COMMANDS, CommandEntry
from answerback.cli.language import choose_language
from answerback.cli.typer_language import translate_all_help, translate_help, translate_own_words, translate_usage_error
from answerback.errors import AnswerbackError
from answerback.i18n import Language


class _Commands(Mapping[str, Any]):
    """The commands by name. Each is imported when it is asked for: a start should not wait for all the others."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(name, COMMANDS[name])
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _load(name: str, entry: CommandEntry) -> Any:
    """The Typer command of that name."""
    module, _, function = entry.function.partition(".")
    gc.disable()  # importing leaves next to nothing to collect, and looking for it takes a quarter of the time
    try:
        found = getattr(import_module(f"answerback.cli.{module}"), function)
    finally:
        gc.enable()
    around = typer.Typer()
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name, help=entry.help)
    else:
        around.command(name, help=entry.help)(found)
    return get_group(around).commands[name]


class CommandGroup(TyperGroup):
    """All commands, none of them imported before it is run."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"commands": _Commands()})

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the program; what the encoding of its output has not is printed as an escape, and is no reason to end."""
        out = sys.stdout
        if isinstance(out, io.TextIOWrapper) and (out.errors == "strict" or out.encoding != "utf-8"):
            out.reconfigure(errors="backslashreplace")
        return super().main(*args, **options)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options in front of a command, once it is known in which language."""
        args = choose_language(args)
        translate_help(self, ctx)
        try:
            return super().parse_args(ctx, args)
        except TyperException as error:
            raise translate_usage_error(error) from error

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # Typer's signature
        """Their names, without importing any."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; a shell is offered those that can be loaded with the extras that are installed."""
        try:
            command = super().get_command(ctx, cmd_name)
        except ModuleNotFoundError:
            if not ctx.resilient_parsing:
                raise
            return None
        if command is not None:
            translate_all_help(command, ctx)
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run a command; what goes wrong is one line and exit status 1."""
        try:
            return super().invoke(ctx)
        except (typer.Abort, KeyboardInterrupt):
            translate_own_words()
            raise
        except TyperException as error:
            raise translate_usage_error(error) from error
        except AnswerbackError as error:
            from rich.markup import escape

            from answerback.cli.output import describe_error, fail

            fail(escape(describe_error(error)))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """List the commands from the table: importing them all takes three times as long."""
        listed = TyperGroup(
            name=self.name,
            commands={name: TyperCommand(name, help=entry.help) for name, entry in COMMANDS.items()},
            params=self.params,
            help=self.help,
            rich_markup_mode=self.rich_markup_mode,
        )
        translate_all_help(listed, ctx)
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
    _lang: Annotated[
        Language | None,
        typer.Option(
            "--lang",
            help="The language of help, messages and reports; that of the locale by default. It may stand anywhere on the line.",
        ),
    ] = None,
) -> None:
    """Know what became of every voice call."""
