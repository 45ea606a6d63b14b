"""`answerback quarantine`: request bodies that could not be parsed."""

from contextlib import suppress
from typing import Annotated, Unpack

import typer

from answerback.cli.language import tr
from answerback.cli.options import AsJson, ByChannel, FullNumbers, PagingOptions
from answerback.cli.output import format_time, out, print_page, print_view
from answerback.cli.plain_output import print_json
from answerback.cli.target import GatewayTarget, for_gateway
from answerback.domain.models import MAX_PAGE_SIZE
from answerback.errors import ResourceNotFound
from answerback.schemas.callbacks import QuarantinedView, RequeueView
from answerback.schemas.view import PageView

app = typer.Typer(no_args_is_help=True)


@app.command("list")
@for_gateway
def list_bodies(
    target: GatewayTarget,
    channel: ByChannel = None,
    as_json: AsJson = False,
    **paging: Unpack[PagingOptions],
) -> None:
    """List the quarantined bodies, newest first, with the reason."""
    with target.open() as gateway:
        page = gateway.quarantine.list(channel=channel, **paging).first()
    print_page(page, _body_row, tr("nothing in quarantine"), as_json=as_json)


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
@for_gateway
def show_body(
    target: GatewayTarget,
    id: Annotated[int, typer.Argument(help="The id, from the list.")],
    full_numbers: FullNumbers = False,
    as_json: AsJson = False,
) -> None:
    """Show one quarantined body with its bytes."""
    with target.open(full_numbers=full_numbers) as gateway:
        body = gateway.quarantine.get(id)
    print_view(body, as_json=as_json)


@app.command("delete")
@for_gateway
def delete(
    target: GatewayTarget,
    ids: Annotated[list[int], typer.Argument(help="The ids, from the list.")],
    as_json: AsJson = False,
) -> None:
    """Delete quarantined bodies for good."""
    deleted = 0
    with target.open() as gateway:
        for id_ in ids:
            with suppress(ResourceNotFound):
                gateway.quarantine.delete(id_)
                deleted += 1
    if as_json:
        print_json({"deleted": deleted})
    else:
        out.print(tr("deleted {deleted} of {count}", deleted=deleted, count=len(ids)))


@app.command("requeue")
@for_gateway
def requeue(
    target: GatewayTarget,
    ids: Annotated[list[int] | None, typer.Argument(help="The ids; all by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Parse quarantined bodies again; those that are callbacks now are recorded with the time they came in.

    Exit status 0 if all of them could be parsed.
    """
    with target.open() as gateway:
        every = gateway.quarantine.list(page_size=MAX_PAGE_SIZE)
        chosen = ids or sorted(one.id for one in every if one.requeueable)
        page: PageView[RequeueView] = PageView(items=[gateway.quarantine.requeue(id_) for id_ in chosen])
    print_page(page, _requeued_row, tr("nothing in quarantine"), as_json=as_json)
    if any(one.disposition is None for one in page.items):
        raise typer.Exit(1)


def _requeued_row(view: RequeueView) -> dict[str, object]:
    return {"id": view.id, "": view.disposition or tr("still refused"), tr("reason"): view.reason}
