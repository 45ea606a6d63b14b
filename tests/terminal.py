"""A command at a terminal, and somebody who types."""

import os
import pty
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gateway import COMMAND, environment


class Typed(NamedTuple):
    """What somebody types once the command has shown `prompt`."""

    prompt: str
    keys: str


def at_a_terminal(
    *arguments: str | Path, cwd: Path, typed: Typed | None = None, settings: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Exit status of a command, and all that it shows."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(COMMAND, [str(COMMAND), *map(str, arguments)], environment({"TERM": "xterm", **(settings or {})}))
    shown = b""
    with suppress(OSError):  # the end of a terminal
        while part := os.read(terminal, 65_536):
            shown += part
            if typed is not None and typed.prompt.encode() in shown:
                os.write(terminal, typed.keys.encode())
                typed = None
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()
