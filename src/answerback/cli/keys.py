"""`answerback keys`: manage API keys in the ledger itself; a running gateway sees changes at once."""

import sys
from typing import Annotated

import typer

from answerback.auth.api_keys import draft_api_key, validate_key_name
from answerback.cli.language import tr, tr_message
from answerback.cli.options import Config, DataDir, open_ledger
from answerback.cli.output import AsJson, err, fail, format_time, out, print_json, print_page
from answerback.domain.models import Role
from answerback.ledger.admin.audit import CLI_ACTOR
from answerback.ledger.commands import CreateKey, RevokeKey
from answerback.schemas.keys import CreatedKeyView, KeyView
from answerback.schemas.view import PageView

app = typer.Typer(no_args_is_help=True)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="The name: lowercase letters, digits, - and _.")],
    role: Annotated[
        Role, typer.Option(help="viewer: read; operator: also make changes and replay; admin: also manage keys.")
    ] = Role.VIEWER,
    full_numbers: Annotated[
        bool, typer.Option("--full-numbers", help="Allow the key to see full phone numbers.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Create a key. It is printed only once and stored nowhere; standard output gets the key alone."""
    if problem := validate_key_name(name):
        fail(f"name: {tr_message(problem)}")
    key, draft = draft_api_key(name, role, full_numbers=full_numbers)
    with open_ledger(config, data_dir=data_dir) as ledger:
        made = CreateKey(CLI_ACTOR, draft).run(ledger)
    if as_json:
        print_json(CreatedKeyView.with_key(made, key))
        return
    numbers = tr("full numbers") if made.full_numbers else tr("masked numbers")
    said = tr(
        "key [bold]{name}[/] is {role} with {numbers}. It is not shown again:",
        name=made.name,
        role=made.role,
        numbers=numbers,
    )
    err.print(said, soft_wrap=True)
    sys.stdout.write(f"{key}\n")


@app.command("list")
def list_keys(as_json: AsJson = False, data_dir: DataDir = None, config: Config = None) -> None:
    """List the active keys, without the admin key of the data directory."""
    with open_ledger(config, data_dir=data_dir) as ledger:
        views = [KeyView.of(key) for key in ledger.keys()]  # noqa: SIM118  # a ledger is no dict
    print_page(PageView(items=views), _key_row, tr("no keys but the admin key"), as_json=as_json)


def _key_row(view: KeyView) -> dict[str, object]:
    return {
        "id": view.id,
        tr("name"): view.name,
        tr("role"): view.role,
        tr("numbers"): tr("full") if view.full_numbers else tr("masked"),
        tr("created (UTC)"): format_time(view.created_at),
    }


@app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name, or its id.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Revoke a key: it stops working at once."""
    with open_ledger(config, data_dir=data_dir) as ledger:
        revoked = RevokeKey(CLI_ACTOR, name).run(ledger)
    if as_json:
        print_json(KeyView.of(revoked))
    else:
        out.print(tr("key [bold]{name}[/] is revoked", name=revoked.name))
