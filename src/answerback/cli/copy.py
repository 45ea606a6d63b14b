"""`answerback copy`: copy a ledger to another database while a gateway serves it."""

import sys
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from answerback.cli.options import Config, load_cli_settings
from answerback.cli.output import AsJson, err, out, print_json, print_table
from answerback.gc_tuning import freeze_gc
from answerback.store_copy import CopyJob, CopyResult, VerifyResult, parse_location

_WHERE = "sqlite:<data directory> or postgresql://user@host/database"


def copy(
    source: Annotated[str, typer.Option("--from", help=f"The ledger to copy from: {_WHERE}.")],
    target: Annotated[str, typer.Option("--to", help=f"The ledger to copy to, empty or an earlier copy: {_WHERE}.")],
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare all rows of both at the end, byte by byte.")
    ] = True,
    verify_only: Annotated[bool, typer.Option("--verify-only", help="Only compare; change nothing.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    job = CopyJob(
        source=parse_location("--from", source),
        target=parse_location("--to", target),
        verifies=verify,
        allow_unsafe=load_cli_settings(config).ledger.allow_unsafe_filesystem,
    )
    freeze_gc()
    with _ProgressBars() as bars:
        result = job.verify(bars) if verify_only else job.run(bars)
    if as_json:
        print_json(msgspec.to_builtins(result))
    else:
        _show(result)
        out.print(escape(_explain_result(result, job, verify_only=verify_only)), soft_wrap=True)
    if result.has_differences and (verify_only or not result.source_changed):
        raise typer.Exit(1)


class _ProgressBars(Progress):
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

    def begin_stage(self, stage: str, rows: int) -> None:
        self.add_task(stage, total=rows, table="", rate=0.0)

    def advance_rows(self, table: str, rows: int) -> None:
        task = self.tasks[-1]
        rate = (task.completed + rows) / elapsed_s if (elapsed_s := task.elapsed) else 0.0
        self.update(task.id, advance=rows, table=table, rate=rate)


def _show(result: CopyResult) -> None:
    names = list(result.synced or result.verified)
    print_table(
        ("table", "rows", "added", "changed", "removed", "compared"),
        [_row(name, result) for name in names],
        "nothing to copy",
    )


def _row(name: str, result: CopyResult) -> tuple[Any, ...]:
    synced, verified = result.synced.get(name), result.verified.get(name)
    counts = ("", "", "") if synced is None else (synced.added, synced.changed, synced.removed)
    return (
        name,
        "" if verified is None else f"{verified.target_rows:,}",
        *(f"{count:,}" if count else "" for count in counts),
        "" if verified is None else _format_comparison(verified),
    )


def _format_comparison(verified: VerifyResult) -> str:
    difference = verified.difference
    if difference is None:
        return "equal"
    rows = f"{difference.rows:,} row differs" if difference.rows == 1 else f"{difference.rows:,} rows differ"
    return f"{rows}: {difference.first}" + (f" to {difference.last}" if difference.first != difference.last else "")


def _explain_result(result: CopyResult, job: CopyJob, *, verify_only: bool) -> str:
    if result.has_differences and not result.source_changed:
        return _explain_differences(result, job, verify_only=verify_only)
    if result.source_changed:
        return _explain_unfinished(result, job, verify_only=verify_only)
    if verify_only:
        return f"{job.source} and {job.target} are equal."
    compared = (
        "Both are equal" if result.verified else "All that can change was compared, the rest was not (--no-verify)"
    )
    return (
        f"{compared}, and nothing was written to {job.source} meanwhile. The copy is whole: start the new gateway with "
        f"answerback serve {job.target.serve_option}. Do not start the old one again."
    )


def _explain_differences(result: CopyResult, job: CopyJob, *, verify_only: bool) -> str:
    tables = ", ".join(name for name, verified in result.verified.items() if verified.difference)
    if verify_only:
        return f"{job.source} and {job.target} differ in {tables}."
    return (
        f"{job.target} differs in {tables}, and not because of callbacks that came meanwhile: something else has written "
        f"to it, or its disk fails. No gateway will serve it. Empty it and copy again."
    )


def _explain_unfinished(result: CopyResult, job: CopyJob, *, verify_only: bool) -> str:
    by = f", by {'; '.join(result.served_by)}" if result.served_by else ""
    if verify_only:
        state = "what differs may be only that" if result.has_differences else "they are equal up to that"
        return f"{job.source} was being written meanwhile{by}: {state}. Stop the gateway to be sure."
    return (
        f"{job.source} is still being written{by}. {job.target} holds what there was, and no gateway will serve it "
        f"yet. To move:\n"
        f"  1. stop the old gateway\n"
        f"  2. start the new one at once, with the inbox of the old one: answerback serve {job.target.serve_option}\n"
        f"     It answers callbacks and keeps them until the copy is whole; docs/copy.md says more\n"
        f"  3. run this command again: it takes over only what has changed"
    )
