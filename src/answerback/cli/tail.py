"""`answerback tail`: follow callbacks and delivery attempts."""

import time
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from answerback.cli.language import tr, tr_message
from answerback.cli.options import ByChannel, Config, DataDir, open_calls
from answerback.cli.output import FullNumbers, err, out
from answerback.ledger import Ledger
from answerback.ledger.read.deliveries import ActivityEvent, activity_position, activity_since
from answerback.service.ledger_config import record_reveal

_POLL_S = 0.2
_AT_A_TIME = 500


def tail(
    channel: ByChannel = None,
    endpoint: Annotated[str | None, typer.Option(help="Only attempts at this endpoint.")] = None,
    failures: Annotated[bool, typer.Option("--failures", help="Only attempts that failed.")] = False,
    full_numbers: FullNumbers = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    with open_calls(config, data_dir=data_dir) as ledger:
        if full_numbers:
            record_reveal(ledger, "callbacks as they come in")
        try:
            _follow(ledger, channel, endpoint, failures=failures, full_numbers=full_numbers, as_json=as_json)
        except KeyboardInterrupt:
            raise typer.Exit from None


def _follow(
    ledger: Ledger, channel: str | None, endpoint: str | None, *, failures: bool, full_numbers: bool, as_json: bool
) -> None:
    place = ledger.read(activity_position)
    err.print(f"[dim]{tr('Showing new callbacks and attempts; press Ctrl-C to stop.')}[/]")
    while True:
        news, place = ledger.read(activity_since, cursor=place, limit=_AT_A_TIME)
        for one in news:
            is_shown = channel in (None, one.channel) and endpoint in (None, one.endpoint)
            if is_shown and not (failures and one.error is None):
                _show(one if full_numbers else one.masked(), as_json=as_json)
        if len(news) < _AT_A_TIME:
            time.sleep(_POLL_S)


def _show(one: ActivityEvent, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(one))
        return
    head = f"[dim]{one.at:%H:%M:%S}.{one.at.microsecond // 1000:03}[/] "
    if one.callback_kind is not None:
        line = f"[cyan]{tr('callback')}[/]  {one.callback_kind:8} {escape(one.callid)} {escape(one.mobile)}  {one.outcome}  ({one.channel})"
    else:
        took = f"{(one.duration_s or 0) * 1000:.1f} ms"
        words = (
            f"[green]{tr('delivered')}[/] {took}"
            if one.error is None
            else f"[red]{tr('failed')}[/] {escape(tr_message(one.error))}".replace("\n", " ")
        )
        line = f"[magenta]{tr('delivery')}[/]  {one.delivery_id} {one.event} {escape(one.callid)} -> {one.endpoint}  {words}"
    out.print(head + line, soft_wrap=True)
