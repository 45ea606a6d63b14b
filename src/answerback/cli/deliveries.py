"""`answerback deliveries`: deliveries of events to endpoints, and replays."""

import time
from typing import TYPE_CHECKING, Annotated, Unpack, cast

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from answerback.cli import options
from answerback.cli.language import tr, tr_all, tr_message
from answerback.cli.options import AsJson, FullNumbers
from answerback.cli.output import StyledCell, fail, format_time, out, print_fields, print_page, print_table
from answerback.cli.plain_output import print_json
from answerback.cli.progress import ProgressBars
from answerback.cli.target import GatewayTarget, for_gateway
from answerback.domain.endpoints import DeliveryState
from answerback.schemas.deliveries import DeliveryView, ReplayView

if TYPE_CHECKING:
    from answerback.client import Client
    from answerback.client.parameters import ReplaySelection

app = typer.Typer(no_args_is_help=True)

_POLL_S = 0.2
_SHOWN_ANSWER = 60
_COLOURS = {DeliveryState.DELIVERED: "green", DeliveryState.DEAD: "red"}


@app.command("list")
@for_gateway
def list_deliveries(
    target: GatewayTarget,
    as_json: AsJson = False,
    **query: Unpack[options.DeliveryListOptions],
) -> None:
    """List deliveries, newest first."""
    with target.open() as gateway:
        page = gateway.deliveries.list(**query).first()
    print_page(page, _delivery_row, tr("no deliveries"), as_json=as_json)


@app.command("show")
@for_gateway
def show(
    target: GatewayTarget,
    id: Annotated[str, typer.Argument(help="The delivery's id, or the webhook-id that the endpoint was sent.")],
    full_numbers: FullNumbers = False,
    as_json: AsJson = False,
) -> None:
    """Show one delivery and every attempt."""
    with target.open(full_numbers=full_numbers) as gateway:
        view = gateway.deliveries.get(_id(id))
    if as_json:
        print_json(view)
        return
    print_fields({name: value for name, value in view if name != "attempt_log"})
    out.print()
    rows = [
        (
            format_time(one.started_at),
            f"{one.duration_ms:.1f} ms",
            one.http_status,
            StyledCell(f"[green]{tr('delivered')}[/]") if one.error is None else tr_message(one.error),
            one.response_body[:_SHOWN_ANSWER].replace("\n", " "),
        )
        for one in view.attempt_log
    ]
    attempt, took, status, answer = tr_all("attempt (UTC)", "took", "status", "answer")
    print_table((attempt, took, status, "", answer), rows, tr("no attempts yet"))


@app.command("replay")
@for_gateway
def replay_deliveries(
    target: GatewayTarget,
    id: Annotated[str | None, typer.Argument(help="A delivery's id, or its webhook-id.")] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="The endpoint to deliver to again: with --all-dead, or a selection of calls.")
    ] = None,
    dead: Annotated[bool, typer.Option("--all-dead", help="All its dead deliveries.")] = False,
    as_json: AsJson = False,
    **calls: Unpack[options.ReplayOptions],
) -> None:
    """Deliver again: one delivery, all dead ones of an endpoint, or everything about some calls. The ids stay the same."""
    if (id is None) == (endpoint is None):
        fail(tr("say what to replay: a delivery's id, or --endpoint with --all-dead, --since, --until, …"))
    with target.client() as client:
        if endpoint is None:
            delivery = client.deliveries.replay(_id(id or ""))
            said = tr("delivery {one.id} to {one.endpoint} is {one.state}", one=delivery)
        else:
            chosen = cast("ReplaySelection", {name: value for name, value in calls.items() if value is not None})
            replay = _wait_for_replay(client, client.replays.start(endpoint, dead=dead, **chosen))
            said = tr("{one.replayed} deliveries to {one.endpoint} are queued again", one=replay)
    if as_json:
        print_json(delivery if endpoint is None else replay)
    else:
        out.print(said)


def _wait_for_replay(client: "Client", replay: ReplayView) -> ReplayView:
    """Show the progress of a replay to its end."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ProgressBars(*columns) as progress:
        shown = progress.add_task(tr("replaying to {endpoint}", endpoint=replay.endpoint), total=replay.total)
        while replay.status == "running":
            time.sleep(_POLL_S)
            replay = client.replays.get(replay.id)
            progress.update(shown, completed=replay.examined)
    if replay.status == "failed":
        fail(tr("stopped after {one.examined} of {one.total}: {one.error}", one=replay))
    return replay


def _id(text: str) -> int:
    """`17`, or the 17 of `dlv_17_9f86d081884c7d65`."""
    digits = text.split("_")[1] if text.startswith("dlv_") and text.count("_") > 1 else text
    if not (digits.isascii() and digits.isdigit()):
        fail(tr("{text}: expected a delivery's id, such as 17 or dlv_17_9f86d081884c7d65", text=text))
    return int(digits)


def _delivery_row(view: DeliveryView) -> dict[str, object]:
    return {
        "id": view.id,
        tr("since (UTC)"): format_time(view.created_at),
        tr("endpoint"): view.endpoint,
        "callid": view.callid,
        tr("type"): view.type,
        tr("state"): _format_state(view.state),
        tr("attempts"): view.attempts,
    }


def _format_state(state: DeliveryState) -> str:
    colour = _COLOURS.get(state)
    return StyledCell(f"[{colour}]{state}[/]") if colour else str(state)
