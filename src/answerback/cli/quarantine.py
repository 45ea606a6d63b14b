"""`answerback quarantine`: what could not be understood."""

from datetime import datetime
from typing import Annotated, Any

import typer

from answerback.cli.options import Config, DataDir, settings_from
from answerback.cli.output import (
    AsJson,
    FullNumbers,
    out,
    print_cursor,
    print_fields,
    print_json,
    print_table,
    spoken_errors,
)
from answerback.errors import CallbackRejected
from answerback.ledger.admin.audit import COMMAND_LINE
from answerback.ledger.read.calls import LARGEST_PAGE
from answerback.schemas.calls import Listing, QuarantinedBodyView, QuarantinedView
from answerback.service.ledger_config import reading, record_reveal

app = typer.Typer(help="Bodies that could not be understood.", no_args_is_help=True)


@app.command("list")
def list_bodies(
    channel: Annotated[str | None, typer.Option(help="Only this channel's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LARGEST_PAGE, help="At most so many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="The next_cursor of the page before.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """List them, newest first, with the reason."""
    with spoken_errors(), reading(settings_from(config, data_dir=data_dir)) as ledger:
        page = ledger.quarantined(channel, cursor, limit)
    views = [QuarantinedView.of(body, full_numbers=False) for body in page.items]
    if as_json:
        print_json(Listing(items=views, next_cursor=page.next_cursor))
        return
    rows = [
        (view.id, f"{view.received_at:%Y-%m-%d %H:%M:%S}", view.size_bytes, view.repeats, view.result, view.reason)
        for view in views
    ]
    print_table(("id", "received (UTC)", "bytes", "repeats", "result", "reason"), rows, "nothing in quarantine")
    print_cursor(page.next_cursor)


@app.command("show")
def show_body(
    id: Annotated[int, typer.Argument(help="Its id, from the list.")],
    full_numbers: FullNumbers = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Show one, with its bytes."""
    with spoken_errors(), reading(settings_from(config, data_dir=data_dir)) as ledger:
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


@app.command("drop")
def drop(
    ids: Annotated[list[int], typer.Argument(help="Which, by their ids from the list.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Throw bodies away, for good."""
    with spoken_errors(), reading(settings_from(config, data_dir=data_dir)) as ledger:
        dropped = ledger.drop_quarantined(ids, COMMAND_LINE)
    if as_json:
        print_json({"dropped": dropped})
    else:
        out.print(f"dropped {dropped} of {len(ids)}")


@app.command("retry")
def retry(
    ids: Annotated[list[int] | None, typer.Argument(help="Which; all by default.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Read them once more; what is a callback now goes to its call, at the time it came in.

    Exit status 0 if none is left of those asked for.
    """
    outcomes: list[dict[str, object]] = []
    with spoken_errors(), reading(settings_from(config, data_dir=data_dir)) as ledger:
        for id_ in ids or ledger.quarantined_ids():
            try:
                receipt = ledger.requeue(id_, COMMAND_LINE)
                outcomes.append({"id": id_, "taken": receipt.taken.name.lower(), "reason": None})
            except CallbackRejected as rejection:
                outcomes.append({"id": id_, "taken": None, "reason": rejection.errmsg})
    if as_json:
        print_json({"items": outcomes})
    else:
        rows = [(item["id"], item["taken"] or "still refused", item["reason"]) for item in outcomes]
        print_table(("id", "", "reason"), rows, "nothing in quarantine")
    if any(item["taken"] is None for item in outcomes):
        raise typer.Exit(1)
