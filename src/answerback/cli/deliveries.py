"""`answerback deliveries`: deliveries of events to endpoints, and replays."""

import sys
import time
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from answerback.cli.api_client import ApiClient, Url
from answerback.cli.options import Config, DataDir, load_cli_settings
from answerback.cli.output import (
    AsJson,
    FullNumbers,
    Styled,
    err,
    exit_on_error,
    fail,
    out,
    print_cursor,
    print_fields,
    print_json,
    print_table,
)
from answerback.domain.endpoints import DeliveryState
from answerback.domain.models import CallbackKind, Outcome
from answerback.ledger.read.deliveries import DeliveryFilter
from answerback.ledger.read.paging import MAX_PAGE_SIZE
from answerback.schemas.deliveries import DeliveryView, DeliveryWithAttemptsView
from answerback.schemas.view import PageView
from answerback.service.ledger_config import open_for_reading, record_reveal

app = typer.Typer(no_args_is_help=True)

_POLL_S = 0.2
_SHOWN_ANSWER = 60
_COLOURS = {DeliveryState.DELIVERED: "green", DeliveryState.DEAD: "red"}

Moment = typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"], help="In UTC.")


@app.command("list")
def list_deliveries(
    endpoint: Annotated[str | None, typer.Option(help="Only deliveries to this endpoint.")] = None,
    state: Annotated[DeliveryState | None, typer.Option(help="Only deliveries in this state.")] = None,
    callid: Annotated[str | None, typer.Option(help="Only deliveries of this call.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only deliveries of this channel.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE_SIZE, help="Maximum number of rows.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="The next_cursor of the previous page.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """List deliveries, newest first."""
    with exit_on_error(), open_for_reading(load_cli_settings(config, data_dir=data_dir)) as ledger:
        endpoint_id = None if endpoint is None else ledger.endpoint(endpoint).id
        wanted = DeliveryFilter(endpoint_id=endpoint_id, state=state, callid=callid, channel=channel)
        page = ledger.deliveries(wanted, cursor, limit)
    views = [DeliveryView.of(one, full_numbers=True) for one in page.items]
    if as_json:
        print_json(PageView(items=views, next_cursor=page.next_cursor))
        return
    rows = [
        (
            view.id,
            _time(view.created_at),
            view.endpoint,
            view.callid,
            view.type,
            _format_state(view.state),
            view.attempts,
        )
        for view in views
    ]
    columns = ("id", "since (UTC)", "endpoint", "callid", "type", "state", "attempts")
    print_table(columns, rows, "no deliveries")
    print_cursor(page.next_cursor)


@app.command("show")
def show(
    id: Annotated[str, typer.Argument(help="The delivery's id, or the webhook-id that the endpoint was sent.")],
    full_numbers: FullNumbers = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Show one delivery and every attempt."""
    with exit_on_error(), open_for_reading(load_cli_settings(config, data_dir=data_dir)) as ledger:
        delivery, attempts = ledger.delivery(_id(id))
        if full_numbers:
            record_reveal(ledger, "delivery", delivery.id)
    view = DeliveryWithAttemptsView.with_attempts(delivery, attempts, full_numbers=full_numbers)
    if as_json:
        print_json(view)
        return
    print_fields({name: _cell(value) for name, value in view if name != "attempt_log"})
    out.print()
    rows = [
        (
            _time(one.started_at),
            f"{one.duration_ms:.1f} ms",
            one.http_status,
            Styled("[green]delivered[/]") if one.error is None else one.error,
            one.response_body[:_SHOWN_ANSWER].replace("\n", " "),
        )
        for one in view.attempt_log
    ]
    print_table(("attempt (UTC)", "took", "status", "", "answer"), rows, "no attempts yet")


@app.command("replay")
def replay_deliveries(
    id: Annotated[str | None, typer.Argument(help="A delivery's id, or its webhook-id.")] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="The endpoint to deliver to again: with --all-dead, or a selection of calls.")
    ] = None,
    dead: Annotated[bool, typer.Option("--all-dead", help="All its dead deliveries.")] = False,
    since: Annotated[datetime | None, Moment] = None,
    until: Annotated[datetime | None, Moment] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only calls with this outcome.")] = None,
    kind: Annotated[CallbackKind | None, typer.Option(help="Only calls of this kind.")] = None,
    mobile: Annotated[str | None, typer.Option(help="Only calls to this number, in any notation.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Deliver again: one delivery, all dead ones of an endpoint, or everything about some calls. The ids stay the same."""
    if (id is None) == (endpoint is None):
        fail("say what to replay: a delivery's id, or --endpoint with --all-dead, --since, --until, …")
    with exit_on_error():
        client = ApiClient(load_cli_settings(config, data_dir=data_dir), url)
        if id is not None:
            result = client.request("POST", "deliveries", str(_id(id)), "replay")
        else:
            filters = {"since": since, "until": until, "outcome": outcome, "kind": kind, "mobile": mobile}
            wanted = {name: str(value) for name, value in filters.items() if value is not None}
            result = _wait_for_replay(
                client, client.request("POST", "replays", body={"endpoint": endpoint, "dead": dead, **wanted})
            )
    if as_json:
        print_json(result)
    elif id is not None:
        out.print(f"delivery {result['id']} to {result['endpoint']} is {result['state']}")
    else:
        out.print(f"{result['replayed']} deliveries to {result['endpoint']} are queued again")


def _wait_for_replay(client: ApiClient, replay: dict[str, Any]) -> dict[str, Any]:
    """Show the progress of a replay to its end."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not sys.stderr.isatty()) as progress:
        shown = progress.add_task(f"replaying to {replay['endpoint']}", total=replay["total"])
        while replay["status"] == "running":
            time.sleep(_POLL_S)
            replay = client.request("GET", "replays", str(replay["id"]))
            progress.update(shown, completed=replay["examined"])
    if replay["status"] == "failed":
        fail(f"stopped after {replay['examined']} of {replay['total']}: {replay['error']}")
    return replay


def _id(text: str) -> int:
    """`17`, or the 17 of `dlv_17_9f86d081884c7d65`."""
    digits = text.split("_")[1] if text.startswith("dlv_") and text.count("_") > 1 else text
    if not (digits.isascii() and digits.isdigit()):
        fail(f"{text}: expected a delivery's id, as 17 or dlv_17_9f86d081884c7d65")
    return int(digits)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _cell(value: Any) -> Any:
    return f"{_time(value)} UTC" if isinstance(value, datetime) else value


def _format_state(state: DeliveryState) -> str:
    colour = _COLOURS.get(state)
    return Styled(f"[{colour}]{state}[/]") if colour else str(state)
