"""`answerback calls` and `answerback callbacks`: what became of a call."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from answerback.cli.options import Config, DataDir, load_cli_settings
from answerback.cli.output import (
    AsJson,
    FullNumbers,
    exit_on_error,
    print_cursor,
    print_fields,
    print_json,
    print_table,
)
from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.models import CallbackKind, Outcome
from answerback.ledger.admin.audit import filter_text
from answerback.ledger.read.calls import CallFilter
from answerback.ledger.read.paging import MAX_PAGE_SIZE
from answerback.schemas.callbacks import CallbackView
from answerback.schemas.calls import CallView
from answerback.schemas.view import PageView
from answerback.service.ledger_config import open_for_reading, record_reveal

calls_app = typer.Typer(no_args_is_help=True)
callbacks_app = typer.Typer(no_args_is_help=True)

Callid = Annotated[str, typer.Argument(help="The callid that the cloud gave the call.")]
Channel = Annotated[str | None, typer.Option(help="The channel; required if several channels have this callid.")]
Limit = Annotated[int, typer.Option(min=1, max=MAX_PAGE_SIZE, help="Maximum number of rows.")]
After = Annotated[str | None, typer.Option("--cursor", help="The next_cursor of the previous page.")]
Moment = typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"], help="In UTC.")


@calls_app.command("list")
def list_calls(
    channel: Annotated[str | None, typer.Option(help="Only this channel's.")] = None,
    mobile: Annotated[str | None, typer.Option(help="Only calls to this number, in any notation.")] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only calls with this outcome.")] = None,
    kind: Annotated[CallbackKind | None, typer.Option(help="Only calls of this kind.")] = None,
    failure_code: Annotated[int | None, typer.Option(help="Only calls with this failure code.")] = None,
    reference: Annotated[str | None, typer.Option(help="Only calls with this reference.")] = None,
    since: Annotated[datetime | None, Moment] = None,
    until: Annotated[datetime | None, Moment] = None,
    limit: Limit = 50,
    cursor: After = None,
    full_numbers: FullNumbers = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """List calls, newest first."""
    wanted = CallFilter(
        channel=channel,
        mobile=mobile,
        outcome=outcome,
        kind=kind,
        failure_code=failure_code,
        reference=reference,
        since=_utc(since),
        until=_utc(until),
    )
    with exit_on_error(), open_for_reading(load_cli_settings(config, data_dir=data_dir)) as ledger:
        page = ledger.calls(wanted, cursor, limit)
        if full_numbers:
            record_reveal(ledger, len(page.items), "calls", filter_text(wanted))
    views = [CallView.of(call, full_numbers=full_numbers) for call in page.items]
    if as_json:
        print_json(PageView(items=views, next_cursor=page.next_cursor))
        return
    rows = [
        (_time(view.first_seen_at), view.callid, view.mobile, view.kind, view.outcome, _why(view), view.channel)
        for view in views
    ]
    print_table(("first seen (UTC)", "callid", "mobile", "kind", "outcome", "", "channel"), rows, "no calls")
    print_cursor(page.next_cursor)


@calls_app.command("show")
def show_call(
    callid: Callid,
    channel: Channel = None,
    full_numbers: FullNumbers = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Show everything known about one call."""
    with exit_on_error(), open_for_reading(load_cli_settings(config, data_dir=data_dir)) as ledger:
        call = ledger.call(callid, channel)
        if full_numbers:
            record_reveal(ledger, "call", call.callid, f"({call.channel})")
    view = CallView.of(call, full_numbers=full_numbers)
    if as_json:
        print_json(view)
    else:
        print_fields({name: _cell(value) for name, value in view})


@callbacks_app.command("show")
def show_callbacks(
    callid: Callid,
    channel: Channel = None,
    limit: Limit = 50,
    cursor: After = None,
    full_numbers: FullNumbers = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Show a call's callbacks as they were received, in order; fewer than --limit if they are large."""
    with exit_on_error(), open_for_reading(load_cli_settings(config, data_dir=data_dir)) as ledger:
        page = ledger.callbacks(callid, channel, cursor, limit)
        if full_numbers:
            record_reveal(ledger, "callbacks of call", callid)
    views = [CallbackView.of(entry, full_numbers=full_numbers) for entry in page.items]
    if as_json:
        print_json(PageView(items=views, next_cursor=page.next_cursor))
        return
    rows = [(_time(view.received_at), view.kind, view.duplicates, view.raw) for view in views]
    print_table(("received (UTC)", "kind", "duplicates", "body"), rows, "no callbacks")
    print_cursor(page.next_cursor)


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=UTC)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _cell(value: Any) -> Any:
    return f"{_time(value)} UTC" if isinstance(value, datetime) else value


def _why(view: CallView) -> str:
    """How long they talked, or why the call failed."""
    if view.outcome is Outcome.ANSWERED:
        return "" if view.talk_seconds is None else f"{view.talk_seconds} s"
    if view.failure_code is None:
        return ""
    reason = FAILURE_REASONS.get(view.failure_code)
    return f"{view.failure_code} {reason.en if reason else view.failure_reason or ''}".rstrip()
