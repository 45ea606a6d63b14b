"""`answerback console`: a one-time link into the console."""

import sys
from typing import Annotated

import typer

from answerback.cli.browser import Open, is_desktop, open_browser
from answerback.cli.language import tr
from answerback.cli.options import AsJson
from answerback.cli.output import err
from answerback.cli.plain_output import print_json
from answerback.cli.target import GatewayTarget, for_gateway


@for_gateway
def console(
    target: GatewayTarget,
    key: Annotated[
        str | None, typer.Option(help="The key whose rights the link gives; the admin key by default.")
    ] = None,
    open_: Open = None,
    as_json: AsJson = False,
) -> None:
    with target.client() as client:
        link = client.keys.sign_in_link(key=key)
    if as_json:
        print_json(link)
    else:
        sys.stdout.write(f"{link.url}\n")
        said = tr("signs in with the key {key}, once, within ten minutes", key=link.key)
        err.print(f"[dim]{said}[/]", soft_wrap=True)
    if open_ or (open_ is None and not as_json and is_desktop()):
        open_browser(link.url)
