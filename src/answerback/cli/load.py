"""`answerback load`: load-test a callback receiver and check that it stored what it accepted."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from answerback.cli.language import tr, tr_all, tr_message
from answerback.cli.options import AsJson
from answerback.cli.output import err, fail, out, print_fields, print_table
from answerback.cli.plain_output import print_json
from answerback.cli.progress import ProgressBars
from answerback.domain.arguments import require_http_url
from answerback.domain.models import CallbackKind

if TYPE_CHECKING:
    from answerback.emulator.load import LoadStats
    from answerback.emulator.verifier import DurabilityCheck

_PERCENTS = (50, 90, 99, 99.9)
_MAX_REASONS = 10
_REDRAW_S = 0.5  # drawing holds the senders up for a moment

_VERIFY = "Afterwards"


def load(
    url: Annotated[str, typer.Argument(help="The callback URL, e.g. http://127.0.0.1:8000/voice/callback")],
    rate: Annotated[float, typer.Option(min=0.01, max=100_000, help="Callbacks per second.")] = 500.0,
    duration: Annotated[float, typer.Option(min=0.01, max=86_400, help="Seconds to send for.")] = 10.0,
    connections: Annotated[int, typer.Option(min=1, max=1024, help="Maximum number of callbacks in flight.")] = 256,
    kind: Annotated[CallbackKind, typer.Option(help="Kind of the callbacks; statuses are of answered calls.")] = (
        CallbackKind.PROMPT
    ),
    mix: Annotated[
        bool, typer.Option("--mix", help="A mix of all statuses, key presses and failures instead of one kind.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(help="Seed of numbers, mix and keys, to repeat a run; callids are always new.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.01, max=3600, help="Seconds to wait for a response.")] = 10.0,
    verify: Annotated[
        str | None,
        typer.Option(
            metavar="BASE",
            help="Look up every accepted callid in this gateway, e.g. http://127.0.0.1:8000",
            rich_help_panel=_VERIFY,
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(envvar="ANSWERBACK_KEY", help="The API key for --verify.", rich_help_panel=_VERIFY)
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the API key for --verify, e.g. answerback-data/admin-key", rich_help_panel=_VERIFY
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    from answerback.emulator.load import LoadGenerator, LoadPlan
    from answerback.emulator.verifier import DurabilityCheck

    _check_urls(url, verify)
    plan = LoadPlan(
        rate=rate,
        duration_s=duration,
        connections=connections,
        timeout_s=timeout,
        seed=secrets.randbits(32) if seed is None else seed,
        kind=None if mix else kind,
    )
    running = LoadGenerator(url, plan)
    durability = None if verify is None else DurabilityCheck(verify, _read_key(key, key_file), timeout)
    if durability is not None and (problem := _run(durability.probe(running.stats.callid(0)))):
        fail(escape(tr("--verify: {url} did not return the calls: {problem}", url=verify, problem=tr_message(problem))))
    stats = running.stats
    _run(_show_progress(running.run(), tr("sending"), stats.planned, lambda: (stats.ended, _format_counts(stats))))
    if durability is not None:
        looking_up = durability.run(stats.accepted_callids, connections)
        _run(
            _show_progress(
                looking_up,
                tr("verifying"),
                stats.accepted,
                lambda: (durability.checked, tr("{count} missing", count=durability.missing)),
            )
        )
    if as_json:
        print_json(_report(stats, durability) | {"seed": plan.seed})
    else:
        _show(stats, durability)
    if stats.accepted < stats.planned or not (
        durability is None or durability.checked == durability.found == stats.accepted
    ):
        raise typer.Exit(1)


def _check_urls(url: str, base: str | None) -> None:
    for name, value in (("URL", url), ("--verify", base)):
        if value is not None:
            require_http_url(name, value)


def _read_key(key: str | None, path: Path | None) -> str | None:
    """The API key, from its file if one is named."""
    if path is None:
        return key
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        fail(escape(tr("--key-file: cannot read a key from {path}: {error}", path=path, error=error)))


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def _show_progress(
    work: Coroutine[Any, Any, None], name: str, total: int, state: Callable[[], tuple[int, str]]
) -> None:
    """Do `work` with a progress bar on a terminal; Ctrl-C ends it, and what was done until then counts."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    detail = TextColumn("{task.fields[detail]}")
    with ProgressBars(*columns, detail, auto_refresh=False) as progress:
        drawing = asyncio.create_task(_draw(progress, progress.add_task(name, total=total, detail=""), state))
        try:
            await work
        except asyncio.CancelledError:
            err.print(tr("{task} was interrupted", task=name), style="yellow")
        finally:
            drawing.cancel()


async def _draw(progress: Progress, task: TaskID, state: Callable[[], tuple[int, str]]) -> None:
    while not progress.disable:
        done, words = state()
        progress.update(task, completed=done, detail=words, refresh=True)
        await asyncio.sleep(_REDRAW_S)


def _format_counts(stats: "LoadStats") -> str:
    return tr(
        "{accepted} accepted, {refused} refused, {unanswered} without an answer, {late} late",
        accepted=stats.accepted,
        refused=stats.refused,
        unanswered=stats.unanswered,
        late=stats.late,
    )


def _report(stats: "LoadStats", durability: "DurabilityCheck | None") -> dict[str, Any]:
    """The result as JSON; latencies are null if there was no response."""
    latencies = stats.latencies
    at_ms = {_name(percent): round(latencies.percentile(percent) * 1000, 3) for percent in (*_PERCENTS, 100)}
    return {
        "planned": stats.planned,
        "sent": stats.sent,
        "unsent": stats.unsent,
        "accepted": stats.accepted,
        "refused": stats.refused,
        "unanswered": stats.unanswered,
        "late": stats.late,
        "achieved_rate": round(stats.achieved_rate, 1),
        "elapsed_s": round(stats.elapsed_s, 3),
        "latency_ms": at_ms if latencies.total else None,
        "refusals": [{"count": count} | one._asdict() for one, count in stats.refusals.most_common()],
        "unanswered_why": [
            {"count": count, "reason": words} for words, count in stats.unanswered_reasons.most_common()
        ],
        "verified": None if durability is None else _verification_report(durability),
    }


def _verification_report(durability: "DurabilityCheck") -> dict[str, Any]:
    return {
        "checked": durability.checked,
        "found": durability.found,
        "missing": durability.missing,
        "first_missing": durability.first_missing,
        "unreadable": [{"count": count, "reason": words} for words, count in durability.unreadable.most_common()],
    }


def _name(percent: float) -> str:
    return f"p{percent:g}" if percent < 100 else "max"  # noqa: PLR2004  # all of them


def _show(stats: "LoadStats", durability: "DurabilityCheck | None") -> None:
    report = _report(stats, durability)
    fields = {
        tr("sent"): tr("{sent} of {planned}", sent=stats.sent, planned=stats.planned)
        + (tr(", {count} not in time", count=stats.unsent) if stats.unsent else ""),
        tr("accepted"): stats.accepted,
        tr("refused"): stats.refused,
        tr("no answer"): stats.unanswered,
        tr("late"): tr("{count} began more than 100 ms after their time", count=stats.late) if stats.late else 0,
        tr("rate"): tr("{achieved_rate:g}/s over {elapsed_s:g} s", **report) if report["latency_ms"] else None,
        tr("latency"): ", ".join(f"{name} {ms:.1f} ms" for name, ms in (report["latency_ms"] or {}).items()) or None,
    }
    if durability is not None:
        fields[tr("in the ledger")] = tr(
            "{found} of {accepted} accepted", found=durability.found, accepted=stats.accepted
        )
    print_fields(fields)
    reasons: list[tuple[object, ...]] = [
        (count, tr("refused"), *refusal) for refusal, count in stats.refusals.most_common(_MAX_REASONS)
    ]
    for what, counter in (
        (tr("no answer"), stats.unanswered_reasons),
        (tr("unreadable"), durability.unreadable if durability else Counter[str]()),
    ):
        reasons += [(count, what, None, None, tr_message(words)) for words, count in counter.most_common(_MAX_REASONS)]
    if reasons:
        count, status, why = tr_all("count", "status", "why")
        print_table((count, "", status, "result", why), reasons, "")
    if durability is not None and durability.missing:
        out.print(tr("[red]{count} accepted and not in the ledger[/], the first of them:", count=durability.missing))
        for callid in durability.first_missing:
            out.print(callid)
