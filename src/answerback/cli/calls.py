"""`answerback calls` and `answerback callbacks`: what became of a call."""

from typing import Annotated, Unpack

import typer

from answerback.cli import options
from answerback.cli.language import current_language, tr, tr_all
from answerback.cli.options import AsJson, FullNumbers
from answerback.cli.output import format_time, print_page, print_view
from answerback.cli.target import GatewayTarget, for_gateway
from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.models import Outcome
from answerback.schemas.callbacks import CallbackView
from answerback.schemas.calls import CallView

calls_app = typer.Typer(no_args_is_help=True)
callbacks_app = typer.Typer(no_args_is_help=True)

Callid = Annotated[str, typer.Argument(help="The callid that the cloud gave the call.")]
Channel = Annotated[str | None, typer.Option(help="The channel; required if several channels have this callid.")]


@calls_app.command("list")
@for_gateway
def list_calls(
    target: GatewayTarget,
    full_numbers: FullNumbers = False,
    as_json: AsJson = False,
    **query: Unpack[options.CallListOptions],
) -> None:
    """List calls, newest first."""
    with target.open(full_numbers=full_numbers) as gateway:
        page = gateway.calls.list(**query).first()
    print_page(page, _call_row, tr("no calls"), as_json=as_json)


@calls_app.command("show")
@for_gateway
def show_call(
    target: GatewayTarget,
    callid: Callid,
    channel: Channel = None,
    full_numbers: FullNumbers = False,
    as_json: AsJson = False,
) -> None:
    """Show everything known about one call."""
    with target.open(full_numbers=full_numbers) as gateway:
        call = gateway.calls.get(callid, channel=channel)
    print_view(call, as_json=as_json)


@callbacks_app.command("show")
@for_gateway
def show_callbacks(
    target: GatewayTarget,
    callid: Callid,
    channel: Channel = None,
    full_numbers: FullNumbers = False,
    as_json: AsJson = False,
    **paging: Unpack[options.PagingOptions],
) -> None:
    """Show a call's callbacks as they were received, in order; fewer than --limit if they are large."""
    with target.open(full_numbers=full_numbers) as gateway:
        page = gateway.calls.callbacks(callid, channel=channel, **paging).first()
    print_page(page, _callback_row, tr("no callbacks"), as_json=as_json)


def _call_row(view: CallView) -> dict[str, object]:
    return {
        tr("first seen (UTC)"): format_time(view.first_seen_at),
        "callid": view.callid,
        tr("mobile"): view.mobile,
        tr("kind"): view.kind,
        tr("outcome"): view.outcome,
        "": _why(view),
        tr("channel"): view.channel,
    }


def _callback_row(view: CallbackView) -> dict[str, object]:
    received = format_time(view.received_at)
    columns = tr_all("received (UTC)", "kind", "duplicates", "body")
    return dict(zip(columns, (received, view.kind, view.duplicates, view.raw), strict=True))


def _why(view: CallView) -> str:
    """How long they talked, or why the call failed."""
    if view.outcome is Outcome.ANSWERED:
        return "" if view.talk_seconds is None else tr("{seconds} s", seconds=view.talk_seconds)
    if view.failure_code is None:
        return ""
    reason = FAILURE_REASONS.get(view.failure_code)
    words = getattr(reason, current_language()) if reason else view.failure_reason or ""
    return f"{view.failure_code} {words}".rstrip()
