"""The command line's output: tables for people, one line for an error. JSON is in `plain_output`."""

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from answerback.cli.language import tr, tr_message
from answerback.cli.plain_output import print_json
from answerback.errors import AnswerbackError, LedgerUnavailable

if TYPE_CHECKING:
    from answerback.schemas.cluster import InboxView
    from answerback.schemas.view import PageView, View

V = TypeVar("V")

_PIPE_WIDTH = 240
_WIDEST = 100_000

out = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
err = Console(stderr=True, highlight=False)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], nothing: str, *, prose: bool = False) -> None:
    """Print a table, or `empty` if it has no rows.

    A row is one line however narrow the terminal, so that ids and URLs can be copied; `prose` is wrapped in its cells.
    """
    if not rows:
        out.print(nothing)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=not prose)
    for row in rows:
        table.add_row(*(_cell(cell) for cell in row))
    if prose:
        out.print(table)
        return
    width = Measurement.get(out, out.options.update(max_width=_WIDEST), table).maximum
    Console(highlight=False, width=width).print(table)


def print_page(page: "PageView[V]", row: Callable[[V], Mapping[str, object]], nothing: str, *, as_json: bool) -> None:
    """Print a page of a list, a line for each item with the cells of `row` by column, and how to get the next page."""
    if as_json:
        print_json(page)
        return
    rows = [row(item) for item in page.items]
    print_table(list(rows[0]) if rows else [], [list(cells.values()) for cells in rows], nothing)
    if page.next_cursor:
        out.print(f"[dim]{tr('more: --cursor {cursor}', cursor=page.next_cursor)}[/]")


class StyledCell(str):
    """A cell with markup of our own; every other cell is shown literally."""

    __slots__ = ()


def _cell(cell: object) -> str | Text:
    return cell if isinstance(cell, StyledCell) else Text("" if cell is None else str(cell))


def print_view(view: "View", *, as_json: bool) -> None:
    """Print one record, as it is in the API."""
    if as_json:
        print_json(view)
    else:
        print_fields(dict(iter(view)))  # as pairs: a call has a field `keys`


def print_fields(fields: dict[str, Any]) -> None:
    """Print one record, a line for each field."""
    table = Table.grid(padding=(0, 2))
    for name, value in fields.items():
        table.add_row(f"[bold]{name}[/]", Text(_format_field(value)))
    out.print(table)


def _format_field(value: Any) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, datetime):
        return f"{format_time(value)} UTC"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def format_time(moment: datetime | None) -> str:
    """A time to the second, in UTC."""
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def describe_waiting(inbox: "InboxView") -> str:
    """How much waits in an inbox, for how long, and why."""
    waiting = tr(
        "{callbacks:,} callbacks wait in the inbox, the oldest for {age_s:,.0f} s",
        callbacks=inbox.callbacks,
        age_s=inbox.lag_s,
    )
    if inbox.failure is None:
        return waiting
    failure, since = tr_message(inbox.failure), format_time(inbox.failing_since)
    return tr("{waiting}: {failure}, since {since} (UTC)", waiting=waiting, failure=failure, since=since)


def describe_error(error: AnswerbackError) -> str:
    """What went wrong, in the language that was chosen; of an unavailable ledger the driver's own words, too."""
    return tr_message(error.explanation if isinstance(error, LedgerUnavailable) else str(error))


def fail(message: str) -> NoReturn:
    """Print an error and exit with status 1."""
    err.print(f"[red]answerback:[/] {message}", soft_wrap=True)
    raise typer.Exit(1)
