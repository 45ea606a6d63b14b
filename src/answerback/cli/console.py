"""`answerback console`: a one-time link into the console."""

import os
import sys
import webbrowser
from typing import Annotated

import typer

from answerback.cli.language import tr
from answerback.cli.options import Config, DataDir, Url, open_client
from answerback.cli.output import AsJson, err, print_json

Open = Annotated[
    bool | None,
    typer.Option(
        "--open/--no-open", help="Open it in the browser; by default at a terminal of a desktop, not over SSH."
    ),
]


def console(
    key: Annotated[
        str | None, typer.Option(help="The key whose rights the link gives; the admin key by default.")
    ] = None,
    open_: Open = None,
    url: Url = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    with open_client(config, url, data_dir=data_dir) as client:
        link = client.keys.sign_in_link(key=key)
    if as_json:
        print_json(link)
    else:
        sys.stdout.write(f"{link.url}\n")
        said = tr("signs in with the key {key}, once, within ten minutes", key=link.key)
        err.print(f"[dim]{said}[/]", soft_wrap=True)
    if open_ or (open_ is None and not as_json and is_desktop()):
        open_browser(link.url)


def is_desktop() -> bool:
    """Whether somebody sits at this terminal who has a browser with windows beside it."""
    has_windows = sys.platform != "linux" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
    return sys.stdout.isatty() and has_windows and "SSH_CONNECTION" not in os.environ


def open_browser(url: str) -> None:
    """Open a URL; where there is no browser, say so: the URL is on the screen."""
    if not webbrowser.open(url):
        err.print(f"[dim]{tr('no browser was found: open the link by hand')}[/]")
