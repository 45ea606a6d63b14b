"""The browser of whoever sits at the terminal."""

import os
import sys
import webbrowser
from typing import Annotated

import typer

from answerback.cli.language import tr
from answerback.cli.output import err

Open = Annotated[
    bool | None,
    typer.Option(
        "--open/--no-open", help="Open it in the browser; by default at a terminal of a desktop, not over SSH."
    ),
]


def is_desktop() -> bool:
    """Whether somebody sits at this terminal who has a browser with windows beside it."""
    has_windows = sys.platform != "linux" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
    return sys.stdout.isatty() and has_windows and "SSH_CONNECTION" not in os.environ


def open_browser(url: str) -> None:
    """Open a URL; where there is no browser, say so: the URL is on the screen."""
    if not webbrowser.open(url):
        err.print(f"[dim]{tr('no browser was found: open the link by hand')}[/]")
