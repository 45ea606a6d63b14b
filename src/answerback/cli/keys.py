"""`answerback keys`: API keys; a running gateway sees changes at once, wherever they were made."""

import sys
from typing import Annotated

import typer

from answerback.cli.language import tr
from answerback.cli.options import AsJson
from answerback.cli.output import err, format_time, out, print_page
from answerback.cli.plain_output import print_json
from answerback.cli.target import GatewayTarget, for_gateway
from answerback.domain.models import Role
from answerback.schemas.keys import KeyView

app = typer.Typer(no_args_is_help=True)


@app.command("create")
@for_gateway
def create(
    target: GatewayTarget,
    name: Annotated[str, typer.Argument(help="The name: lowercase letters, digits, - and _.")],
    role: Annotated[
        Role, typer.Option(help="viewer: read; operator: also make changes and replay; admin: also manage keys.")
    ] = Role.VIEWER,
    full_numbers: Annotated[
        bool, typer.Option("--full-numbers", help="Allow the key to see full phone numbers.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create a key. It is printed only once and stored nowhere; standard output gets the key alone."""
    with target.open() as gateway:
        made = gateway.keys.create(name, role=role, full_numbers=full_numbers)
    if as_json:
        print_json(made)
        return
    numbers = tr("full numbers") if made.full_numbers else tr("masked numbers")
    said = tr(
        "key [bold]{name}[/] is {role} with {numbers}. It is not shown again:",
        name=made.name,
        role=made.role,
        numbers=numbers,
    )
    err.print(said, soft_wrap=True)
    sys.stdout.write(f"{made.key}\n")


@app.command("list")
@for_gateway
def list_keys(target: GatewayTarget, as_json: AsJson = False) -> None:
    """List the active keys, without the admin key of the data directory."""
    with target.open() as gateway:
        page = gateway.keys.list().first()
    print_page(page, _key_row, tr("no keys but the admin key"), as_json=as_json)


def _key_row(view: KeyView) -> dict[str, object]:
    return {
        "id": view.id,
        tr("name"): view.name,
        tr("role"): view.role,
        tr("numbers"): tr("full") if view.full_numbers else tr("masked"),
        tr("created (UTC)"): format_time(view.created_at),
    }


@app.command("revoke")
@for_gateway
def revoke(
    target: GatewayTarget,
    name: Annotated[str, typer.Argument(help="The key's name, or its id.")],
    as_json: AsJson = False,
) -> None:
    """Revoke a key: it stops working at once."""
    with target.open() as gateway:
        revoked = [one for one in gateway.keys.list() if name in (one.name, str(one.id))]
        gateway.keys.revoke(name)
    if as_json:
        print_json(revoked[0])
    else:
        out.print(tr("key [bold]{name}[/] is revoked", name=revoked[0].name))
