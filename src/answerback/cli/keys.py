"""`answerback keys`: manage API keys in the ledger itself; a running gateway sees changes at once."""

import sys
from typing import Annotated

import typer

from answerback.auth.api_keys import draft_api_key, validate_key_name
from answerback.cli.options import Config, DataDir, load_cli_settings
from answerback.cli.output import AsJson, err, exit_on_error, fail, out, print_json, print_table
from answerback.domain.models import Role
from answerback.ledger.admin.audit import CLI_ACTOR
from answerback.ledger.commands import CreateKey, RevokeKey
from answerback.schemas.keys import CreatedKeyView, KeyView
from answerback.schemas.view import PageView
from answerback.service.ledger_config import open_for_reading

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
        fail(f"name: {problem}")
    key, draft = draft_api_key(name, role, full_numbers=full_numbers)
    with exit_on_error(), open_for_reading(load_cli_settings(config, data_dir=data_dir)) as ledger:
        made = CreateKey(CLI_ACTOR, draft).run(ledger)
    if as_json:
        print_json(CreatedKeyView.with_key(made, key))
        return
    numbers = "full numbers" if made.full_numbers else "masked numbers"
    err.print(f"key [bold]{made.name}[/] is {made.role} with {numbers}. It is not shown again:", soft_wrap=True)
    sys.stdout.write(f"{key}\n")


@app.command("list")
def list_keys(as_json: AsJson = False, data_dir: DataDir = None, config: Config = None) -> None:
    """List the active keys, without the admin key of the data directory."""
    with exit_on_error(), open_for_reading(load_cli_settings(config, data_dir=data_dir)) as ledger:
        views = [KeyView.of(key) for key in ledger.keys()]  # noqa: SIM118  # a ledger is no dict
    if as_json:
        print_json(PageView(items=views))
        return
    rows = [
        (view.id, view.name, view.role, "full" if view.full_numbers else "masked", f"{view.created_at:%Y-%m-%d %H:%M}")
        for view in views
    ]
    print_table(("id", "name", "role", "numbers", "created (UTC)"), rows, "no keys but the admin key")


@app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name, or its id.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Revoke a key: it stops working at once."""
    with exit_on_error(), open_for_reading(load_cli_settings(config, data_dir=data_dir)) as ledger:
        revoked = RevokeKey(CLI_ACTOR, name).run(ledger)
    if as_json:
        print_json(KeyView.of(revoked))
    else:
        out.print(f"key [bold]{revoked.name}[/] is revoked")
