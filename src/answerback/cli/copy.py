"""`answerback copy`: move a ledger to another store while it is served."""

import sys
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from answerback.cli.options import Config, settings_from
from answerback.cli.output import AsJson, err, out, print_json, print_table, spoken_errors
from answerback.gc_tuning import settle_heap
from answerback.store_copy import Copied, Copying, Verified, place_of

_WHERE = "sqlite:<data directory> or postgresql://user@host/database"


def copy(
    source: Annotated[str, typer.Option("--from", help=f"The ledger that is there: {_WHERE}.")],
    target: Annotated[str, typer.Option("--to", help=f"Where it goes, empty or a former copy: {_WHERE}.")],
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare all rows of both at the end, to the last byte.")
    ] = True,
    verify_only: Annotated[bool, typer.Option("--verify-only", help="Compare, and change nothing.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Copy a ledger between SQLite and PostgreSQL, also while it is served; run again, it goes on and catches up.

    The last run is the one after the old gateway was stopped: it makes both equal, and only then the copy can be served.
    """
    with spoken_errors():
        copying = Copying(
            source=place_of("--from", source),
            target=place_of("--to", target),
            verifies=verify,
            allow_unsafe=settings_from(config).ledger.allow_unsafe_place,
        )
        settle_heap()
        with _Bars() as bars:
            copied = copying.verify(bars) if verify_only else copying.run(bars)
    if as_json:
        print_json(msgspec.to_builtins(copied))
    else:
        _show(copied)
        out.print(escape(_verdict(copied, copying, verify_only=verify_only)), soft_wrap=True)
    if copied.different and (verify_only or not copied.written):
        raise typer.Exit(1)


class _Bars(Progress):
    """A bar for each stage, on a terminal and nowhere else."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[table]}"),
            TextColumn("[dim]{task.fields[rate]:,.0f} rows/s[/]"),
            TimeRemainingColumn(),
        )
        super().__init__(*columns, console=err, transient=True, disable=not sys.stderr.isatty())

    def begin(self, stage: str, rows: int) -> None:
        """Show a new bar."""
        self.add_task(stage, total=rows, table="", rate=0.0)

    def move(self, table: str, rows: int) -> None:
        """Move the last bar on."""
        task = self.tasks[-1]
        rate = (task.completed + rows) / elapsed_s if (elapsed_s := task.elapsed) else 0.0
        self.update(task.id, advance=rows, table=table, rate=rate)


def _show(copied: Copied) -> None:
    names = list(copied.carried or copied.verified)
    print_table(
        ("table", "rows", "added", "changed", "removed", "compared"),
        [_row(name, copied) for name in names],
        "nothing to copy",
    )


def _row(name: str, copied: Copied) -> tuple[Any, ...]:
    carried, verified = copied.carried.get(name), copied.verified.get(name)
    counts = ("", "", "") if carried is None else (carried.added, carried.changed, carried.removed)
    return (
        name,
        "" if verified is None else f"{verified.target_rows:,}",
        *(f"{count:,}" if count else "" for count in counts),
        "" if verified is None else _compared(verified),
    )


def _compared(verified: Verified) -> str:
    difference = verified.difference
    if difference is None:
        return "equal"
    rows = f"{difference.rows:,} row differs" if difference.rows == 1 else f"{difference.rows:,} rows differ"
    return f"{rows}: {difference.first}" + (f" to {difference.last}" if difference.first != difference.last else "")


def _verdict(copied: Copied, copying: Copying, *, verify_only: bool) -> str:
    if copied.different and not copied.written:
        return _tampered(copied, copying, verify_only=verify_only)
    if copied.written:
        return _unfinished(copied, copying, verify_only=verify_only)
    if verify_only:
        return f"{copying.source} and {copying.target} are equal."
    compared = (
        "Both are equal" if copied.verified else "All that can change was compared, the rest was not (--no-verify)"
    )
    return (
        f"{compared}, and nothing was written to {copying.source} meanwhile. The copy is whole: start the new gateway with "
        f"answerback serve {copying.target.serving}. Do not start the old one again."
    )


def _tampered(copied: Copied, copying: Copying, *, verify_only: bool) -> str:
    tables = ", ".join(name for name, verified in copied.verified.items() if verified.difference)
    if verify_only:
        return f"{copying.source} and {copying.target} differ in {tables}."
    return (
        f"{copying.target} differs in {tables}, and not because of callbacks that came meanwhile: something else has written "
        f"to it, or its disk fails. No gateway will serve it. Empty it and copy again."
    )


def _unfinished(copied: Copied, copying: Copying, *, verify_only: bool) -> str:
    by = f", by {'; '.join(copied.served_by)}" if copied.served_by else ""
    if verify_only:
        state = "what differs may be only that" if copied.different else "they are equal up to that"
        return f"{copying.source} was being written meanwhile{by}: {state}. Stop the gateway to be sure."
    return (
        f"{copying.source} is still being written{by}. {copying.target} holds what there was, and no gateway will serve it "
        f"yet. To move:\n"
        f"  1. stop the old gateway, once something else takes the callbacks: docs/copy.md says what\n"
        f"  2. run this command again: it takes over only what has changed\n"
        f"  3. start the new one: answerback serve {copying.target.serving}"
    )
