"""`answerback tail`: follow callbacks and delivery attempts."""

from typing import Annotated

import typer
from rich.markup import escape

from answerback.cli.language import tr, tr_message
from answerback.cli.options import ByChannel, FullNumbers
from answerback.cli.output import err, out
from answerback.cli.target import GatewayTarget, for_gateway
from answerback.schemas.events import AttemptActivityView, CallbackActivityView


@for_gateway
def tail(
    target: GatewayTarget,
    channel: ByChannel = None,
    endpoint: Annotated[str | None, typer.Option(help="Only attempts at this endpoint.")] = None,
    failures: Annotated[bool, typer.Option("--failures", help="Only attempts that failed.")] = False,
    full_numbers: FullNumbers = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    only_attempts = failures or endpoint is not None
    with target.client(full_numbers=full_numbers) as client:
        events = client.events(channel=channel, type="attempt" if only_attempts else None)
        events.begin()
        err.print(f"[dim]{tr('Showing new callbacks and attempts; press Ctrl-C to stop.')}[/]")
        try:
            for event in events:
                if isinstance(event, CallbackActivityView):
                    line = describe_callback(event)
                elif endpoint not in (None, event.endpoint) or (failures and event.error is None):
                    continue
                else:
                    line = _describe_attempt(event)
                if as_json:
                    typer.echo(event.model_dump_json())
                else:
                    out.print(line, soft_wrap=True)
        except KeyboardInterrupt:
            raise typer.Exit from None


def describe_callback(event: CallbackActivityView) -> str:
    """A callback in a line, with markup."""
    what = f"{event.kind:8} {escape(event.callid)} {escape(event.mobile)}  {event.outcome}  ({event.channel})"
    return f"{_clock(event)} [cyan]{tr('callback')}[/]  {what}"


def _describe_attempt(event: AttemptActivityView) -> str:
    words = (
        f"[green]{tr('delivered')}[/] {event.duration_ms:.1f} ms"
        if event.error is None
        else f"[red]{tr('failed')}[/] {escape(tr_message(event.error))}".replace("\n", " ")
    )
    what = f"{event.delivery_id} {event.event} {escape(event.callid)} -> {event.endpoint}  {words}"
    return f"{_clock(event)} [magenta]{tr('delivery')}[/]  {what}"


def _clock(event: CallbackActivityView | AttemptActivityView) -> str:
    return f"[dim]{event.at:%H:%M:%S}.{event.at.microsecond // 1000:03}[/]"
