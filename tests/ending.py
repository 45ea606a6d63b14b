"""What the tests execute ends with them, however they end: what they fork does as well, as `forking` says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal


def ending(*command: str | Path, by: Literal["KILL", "TERM"] = "KILL") -> Sequence[str | Path]:
    """`command`, which the system ends by that signal when the thread that started it ends; its process is the same.

    TERM is for a program that has to end others of its own. One that becomes another user has to ask for the signal anew.
    """
    return ["setpriv", "--pdeathsig", by, *command]
