"""Typer's help and errors in the language of the command line."""

from functools import cache
from typing import Any

from typer.exceptions import TyperException

from answerback.cli.language import current_language, tr, tr_message
from answerback.i18n import Language

_HEADINGS = {
    "ARGUMENTS_PANEL_TITLE": "Arguments",
    "OPTIONS_PANEL_TITLE": "Options",
    "COMMANDS_PANEL_TITLE": "Commands",
    "ERRORS_PANEL_TITLE": "Error",
    "ABORTED_TEXT": "Aborted.",
    "DEFAULT_STRING": "[default: {}]",
    "ENVVAR_STRING": "[env var: {}]",
    "REQUIRED_LONG_STRING": "[required]",
    "RICH_HELP": "Try [blue]'{command_path} {help_option}'[/] for help.",
}
"""Name in `typer.rich_utils` -> text."""


def translate_help(command: Any, context: object) -> None:
    """Put the help of one command and of its parameters into the language that was chosen, and let no flag seem to take a value."""
    for parameter in command.get_params(context):
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    if current_language() is Language.EN:
        return
    _translate_headings(type(context))  # type: ignore[arg-type]  # mypy does not see that a class is hashable
    command.help = tr(command.help or "")
    for parameter in command.get_params(context):
        parameter.help = tr(parameter.help or "")
        panel = getattr(parameter, "rich_help_panel", None)
        parameter.rich_help_panel = panel and tr(panel)


def translate_all_help(command: Any, context: object) -> None:
    """The same for a command and all below it."""
    translate_help(command, context)
    for below in getattr(command, "commands", {}).values():
        translate_all_help(below, context)


def translate_own_words() -> None:
    """Put what Typer itself prints into the language that was chosen."""
    from typer import rich_utils

    for name, text in _HEADINGS.items():
        setattr(rich_utils, name, tr(text))


@cache
def _translate_headings(context_class: type) -> None:
    """Have every usage line and what is shown below it begin with words of the language that is chosen then."""
    plain = context_class.formatter_class  # type: ignore[attr-defined]

    class Formatter(plain):  # type: ignore[misc, valid-type]  # Typer's own
        """It is made before any heading is printed."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            translate_own_words()
            super().__init__(*arguments, **options)

        def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
            super().write_usage(prog, args, prefix or tr("Usage: "))

    context_class.formatter_class = Formatter  # type: ignore[attr-defined]


def translate_usage_error(error: TyperException) -> TyperException:
    """Return the error of an invalid command line in the language that was chosen."""
    said = error.format_message()
    translated = tr_message(said)
    if translated == said:
        return error
    plain: Any = next(kind for kind in type(error).__mro__ if kind.__name__ == "UsageError")
    usage_error: TyperException = plain(translated, getattr(error, "ctx", None))
    return usage_error
