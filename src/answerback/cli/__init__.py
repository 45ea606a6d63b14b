"""The command line: arguments in, service calls out."""

import sys

from answerback.cli.commands import COMMANDS


def app(prog_name: str = "answerback") -> None:
    """The command `answerback`; where a library is not installed, one line says which extra brings it."""
    try:
        from answerback.cli.main import app as commands

        commands(prog_name=prog_name)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in ("", "answerback"):
            raise
        sys.exit(f"answerback: {_describe_missing(library)}")


def _describe_missing(library: str) -> str:
    named = next((arg for arg in sys.argv[1:] if not arg.startswith("-")), "")
    if named in COMMANDS:
        return f'{named} needs {library}: pip install "answerback[{COMMANDS[named].extra}]"'
    light = ", ".join(name for name, entry in COMMANDS.items() if entry.extra == "emulator")
    return f'the command line needs {library}: pip install "answerback[server]", or "answerback[emulator]" for {light} alone'


__all__ = ["app"]
