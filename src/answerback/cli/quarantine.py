"""`answerback quarantine`: request bodies that could not be parsed."""

from datetime import datetime
from typing import Annotated, Any

import typer

from answerback.cli.options import Config, DataDir, load_cli_settings
from answerback.cli.output import (
    AsJson,
    FullNumbers,
    exit_on_error,
    out,
    print_cursor,
    print_fields,
    print_json,
    print_table,
)
from answerback.errors import CallbackRejected
from answerback.ledger.admin.audit import CLI_ACTOR
from answerback.ledger.read.paging import MAX_PAGE_SIZE
from answerback.schemas.callbacks import QuarantinedBodyView, QuarantinedView
from answerback.schemas.view import PageView
from answerback.service.ledger_config import open_for_reading, record_reveal

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_bodies(
    channel: Annotated[str | None, typer.Option(help="Only this channel's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE_SIZE, help="Maximum number of rows.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="The next_cursor of the previous page.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """List the quarantined bodies, newest first, with the reason."""
    with exit_on_error(), open_for_reading(load_cli_settings(config, data_dir=data_dir)) as ledger:
        page = ledger.quarantined(channel, cursor, limit)
    views = [QuarantinedView.of(body, full_numbers=False) for body in page.items]
    if as_json:
        print_json(PageView(items=views, next_cursor=page.next_cursor))
        return
    rows = [
        (view.id, f"{view.received_at:%Y-%m-%d %H:%M:%S}", view.size_bytes, view.duplicates, view.result, view.reason)
        for view in views
    ]
    print_table(("id", "received (UTC)", "bytes", "duplicates", "result", "reason"), rows, "nothing in quarantine")
    print_cursor(page.next_cursor)


@app.command("show")
def show_body(
    id: Annotated[int, typer.Argument(help="The id, from the list.")],
    full_numbers: FullNumbers = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Show one quarantined body with its bytes."""
    with exit_on_error(), open_for_reading(load_cli_settings(config, data_dir=data_dir)) as ledger:
        if full_numbers:
            record_reveal(ledger, "quarantined body", id)
        view = QuarantinedBodyView.with_body(ledger.quarantined_body(id), full_numbers=full_numbers)
    if as_json:
        print_json(view)
    else:
        print_fields({name: _cell(value) for name, value in view})


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return value


@app.command("delete")
def delete(
    ids: Annotated[list[int], typer.Argument(help="The ids, from the list.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Delete quarantined bodies for good."""
    with exit_on_error(), open_for_reading(load_cli_settings(config, data_dir=data_dir)) as ledger:
        deleted = ledger.delete_quarantined(ids, CLI_ACTOR)
    if as_json:
        print_json({"deleted": deleted})
    else:
        out.print(f"deleted {deleted} of {len(ids)}")


@app.command("requeue")
def requeue(
    ids: Annotated[list[int] | None, typer.Argument(help="The ids; all by default.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Parse quarantined bodies again; those that are callbacks now are recorded with the time they came in.

    Exit status 0 if all of them could be parsed.
    """
    outcomes: list[dict[str, object]] = []
    with exit_on_error(), open_for_reading(load_cli_settings(config, data_dir=data_dir)) as ledger:
        for id_ in ids or ledger.quarantined_ids():
            try:
                receipt = ledger.requeue(id_, CLI_ACTOR)
                outcomes.append({"id": id_, "disposition": receipt.disposition.name.lower(), "reason": None})
            except CallbackRejected as rejection:
                outcomes.append({"id": id_, "disposition": None, "reason": rejection.errmsg})
    if as_json:
        print_json({"items": outcomes})
    else:
        rows = [(item["id"], item["disposition"] or "still refused", item["reason"]) for item in outcomes]
        print_table(("id", "", "reason"), rows, "nothing in quarantine")
    if any(item["disposition"] is None for item in outcomes):
        raise typer.Exit(1)
