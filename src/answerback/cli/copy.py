"""`answerback copy`: copy a ledger to another database while a gateway serves it."""

from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from answerback.cli.language import tr, tr_all, tr_message
from answerback.cli.options import AsJson, Config, load_cli_settings
from answerback.cli.output import out, print_table
from answerback.cli.plain_output import print_json
from answerback.cli.progress import ProgressBars, RateColumn
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
    with _StageBars() as bars:
        result = job.verify(bars) if verify_only else job.run(bars)
    if as_json:
        print_json(msgspec.to_builtins(result))
    else:
        _show(result)
        out.print(escape(_explain_result(result, job, verify_only=verify_only)), soft_wrap=True)
    if result.has_differences and (verify_only or not result.source_changed):
        raise typer.Exit(1)


class _StageBars(ProgressBars):
    """A bar for each stage."""

    def __init__(self) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[table]}"),
            RateColumn(unit=" " + tr("rows/s")),
            TimeRemainingColumn(),
        )

    def begin_stage(self, stage: str, rows: int) -> None:
        self.add_task(tr_message(stage), total=rows, table="")

    def advance_rows(self, table: str, rows: int) -> None:
        self.update(self.tasks[-1].id, advance=rows, table=table)


def _show(result: CopyResult) -> None:
    names = list(result.synced or result.verified)
    print_table(
        tr_all("table", "rows", "added", "changed", "removed", "compared"),
        [_row(name, result) for name in names],
        tr("nothing to copy"),
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
        return tr("equal")
    rows = tr("1 row differs") if difference.rows == 1 else tr("{rows:,} rows differ", rows=difference.rows)
    return f"{rows}: {difference.first}" + (
        tr(" to {last}", last=difference.last) if difference.first != difference.last else ""
    )


def _explain_result(result: CopyResult, job: CopyJob, *, verify_only: bool) -> str:
    if result.has_differences and not result.source_changed:
        return _explain_differences(result, job, verify_only=verify_only)
    if result.source_changed:
        return _explain_unfinished(result, job, verify_only=verify_only)
    if verify_only:
        return tr("{source} and {target} are equal.", source=job.source, target=job.target)
    compared = (
        tr("Both are equal")
        if result.verified
        else tr("Everything that can change was compared, the rest was not (--no-verify)")
    )
    return tr(
        "{compared}, and nothing was written to {source} meanwhile. The copy is complete: start the new gateway with "
        "answerback serve {option}. Do not start the old one again.",
        compared=compared,
        source=job.source,
        option=job.target.serve_option,
    )


def _explain_differences(result: CopyResult, job: CopyJob, *, verify_only: bool) -> str:
    tables = ", ".join(name for name, verified in result.verified.items() if verified.difference)
    if verify_only:
        return tr("{source} and {target} differ in {tables}.", source=job.source, target=job.target, tables=tables)
    return tr(
        "{target} differs in {tables}, and not because of callbacks that came meanwhile: something else has written "
        "to it, or its disk is failing. No gateway will serve it. Empty it and copy again.",
        target=job.target,
        tables=tables,
    )


def _explain_unfinished(result: CopyResult, job: CopyJob, *, verify_only: bool) -> str:
    by = tr(", by {processes}", processes="; ".join(result.served_by)) if result.served_by else ""
    if verify_only:
        state = (
            tr("the differences may be due to that alone")
            if result.has_differences
            else tr("apart from that they are equal")
        )
        return tr(
            "{source} was being written meanwhile{by}: {state}. Stop the gateway to be sure.",
            source=job.source,
            by=by,
            state=state,
        )
    return tr(
        "{source} is still being written{by}. {target} has everything up to now, but no gateway will serve it yet. To move:\n"
        "  1. stop the old gateway\n"
        "  2. start the new one at once, with the inbox of the old one: answerback serve {option}\n"
        "     It answers callbacks and keeps them until the copy is complete: see docs/copy.md\n"
        "  3. run this command again: it takes over only what has changed",
        source=job.source,
        by=by,
        target=job.target,
        option=job.target.serve_option,
    )
