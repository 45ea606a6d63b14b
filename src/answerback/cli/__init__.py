"""The command line: arguments in, service calls out."""

import sys
from importlib.util import find_spec

from answerback.cli.commands import COMMANDS
from answerback.cli.language import choose_language, tr


def app(prog_name: str = "answerback") -> None:
    """The command `answerback`; where a library is not installed, one line says which extra brings it."""
    try:
        from answerback.cli.main import app as commands

        commands(prog_name=prog_name)
    except ModuleNotFoundError as error:
        library = str(error.name).partition(".")[0]
        if find_spec(library) is not None:  # a part of it: it is too old, or this is a mistake of ours
            raise
        sys.exit(f"answerback: {_describe_missing(library)}")


def _describe_missing(library: str) -> str:
    named = next((argument for argument in choose_language(sys.argv[1:]) if argument in COMMANDS), None)
    if named:
        extra = COMMANDS[named].extra
        return tr('{name} needs {library}: pip install "answerback[{extra}]"', name=named, library=library, extra=extra)
    return tr(
        'the command line needs {library}: pip install "answerback[server]", or "answerback[emulator]" for {commands} alone',
        library=library,
        commands=", ".join(name for name, entry in COMMANDS.items() if entry.extra == "emulator"),
    )


__all__ = ["app"]
