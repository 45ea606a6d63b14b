"""`answerback quarantine`: request bodies that could not be parsed."""

from typing import Annotated

import typer

from answerback.cli.language import tr
from answerback.cli.options import ByChannel, Config, Cursor, DataDir, Limit, open_calls
from answerback.cli.output import AsJson, FullNumbers, format_time, out, print_json, print_page, print_table, print_view
from answerback.errors import CallbackRejected
from answerback.ledger.admin.audit import CLI_ACTOR
from answerback.schemas.callbacks import QuarantinedBodyView, QuarantinedView
from answerback.schemas.view import PageView
from answerback.service.ledger_config import record_reveal

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_bodies(
    channel: ByChannel = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """List the quarantined bodies, newest first, with the reason."""
    with open_calls(config, data_dir=data_dir) as ledger:
        page = ledger.quarantined(channel, cursor, limit)
    print_page(PageView.of(page, QuarantinedView.read_from), _body_row, tr("nothing in quarantine"), as_json=as_json)


def _body_row(view: QuarantinedView) -> dict[str, object]:
    return {
        "id": view.id,
        tr("received (UTC)"): format_time(view.received_at),
        tr("bytes"): view.size_bytes,
        tr("duplicates"): view.duplicates,
        "result": view.result,
        tr("reason"): view.reason,
    }


@app.command("show")
def show_body(
    id: Annotated[int, typer.Argument(help="The id, from the list.")],
    full_numbers: FullNumbers = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Show one quarantined body with its bytes."""
    with open_calls(config, data_dir=data_dir) as ledger:
        if full_numbers:
            record_reveal(ledger, "quarantined body", id)
        view = QuarantinedBodyView.with_body(ledger.quarantined_body(id), full_numbers=full_numbers)
    print_view(view, as_json=as_json)


@app.command("delete")
def delete(
    ids: Annotated[list[int], typer.Argument(help="The ids, from the list.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Delete quarantined bodies for good."""
    with open_calls(config, data_dir=data_dir) as ledger:
        deleted = ledger.delete_quarantined(ids, CLI_ACTOR)
    if as_json:
        print_json({"deleted": deleted})
    else:
        out.print(tr("deleted {deleted} of {count}", deleted=deleted, count=len(ids)))


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
    with open_calls(config, data_dir=data_dir) as ledger:
        for id_ in ids or ledger.requeueable_ids():
            try:
                receipt = ledger.requeue(id_, CLI_ACTOR)
                outcomes.append({"id": id_, "disposition": receipt.disposition.name.lower(), "reason": None})
            except CallbackRejected as rejection:
                outcomes.append({"id": id_, "disposition": None, "reason": rejection.errmsg})
    if as_json:
        print_json({"items": outcomes})
    else:
        rows = [(item["id"], item["disposition"] or tr("still refused"), item["reason"]) for item in outcomes]
        print_table(("id", "", tr("reason")), rows, tr("nothing in quarantine"))
    if any(item["disposition"] is None for item in outcomes):
        raise typer.Exit(1)
