"""`answerback load`: how a callback receiver bears a rate of callbacks, and whether it kept what it took."""

import asyncio
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from answerback.cli.output import AsJson, err, fail, out, print_fields, print_json, print_table, spoken_errors
from answerback.domain.models import Kind

if TYPE_CHECKING:
    from answerback.emulator.load import Tally
    from answerback.emulator.verifier import Audit

_PERCENTS = (50, 90, 99, 99.9)
_TOLD_REASONS = 10
_REDRAW_S = 0.5  # drawing holds the senders up for a moment

_VERIFY = "Afterwards"


def load(
    url: Annotated[str, typer.Argument(help="The callback URL, e.g. http://127.0.0.1:8000/voice/callback")],
    rate: Annotated[float, typer.Option(min=0.01, max=100_000, help="Callbacks per second.")] = 500.0,
    duration: Annotated[float, typer.Option(min=0.01, max=86_400, help="Seconds to send for.")] = 10.0,
    connections: Annotated[int, typer.Option(min=1, max=1024, help="Callbacks under way, at most.")] = 256,
    kind: Annotated[Kind, typer.Option(help="What the callbacks tell; a status is that of an answered call.")] = (
        Kind.PROMPT
    ),
    mix: Annotated[
        bool, typer.Option("--mix", help="A mix in place of one kind: all statuses, key presses, failures.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(help="The same seed, the same numbers, mix and keys; callids are always new.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.01, max=3600, help="Seconds to wait for an answer.")] = 10.0,
    verify: Annotated[
        str | None,
        typer.Option(
            metavar="BASE",
            help="Look every accepted callid up at this gateway, e.g. http://127.0.0.1:8000",
            rich_help_panel=_VERIFY,
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(envvar="ANSWERBACK_KEY", help="The API key for --verify.", rich_help_panel=_VERIFY),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(help="The file that holds it, e.g. answerback-data/admin-key", rich_help_panel=_VERIFY),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send callbacks to URL at a rate, however slow it answers, and measure; exit status 0 if all were accepted.

    Latency counts from the moment at which the rate wants a callback sent: waiting for a connection is a part of it.
    """
    from answerback.emulator.load import Load, Plan
    from answerback.emulator.verifier import Audit  # aiohttp, which other commands do not need

    _check_urls(url, verify)
    plan = Plan(
        rate=rate,
        duration_s=duration,
        connections=connections,
        timeout_s=timeout,
        seed=secrets.randbits(32) if seed is None else seed,
        kind=None if mix else kind,
    )
    with spoken_errors():
        running = Load(url, plan)
    audit = None if verify is None else Audit(verify, _read_key(key, key_file), timeout)
    if audit is not None and (problem := _run(audit.probe(running.tally.callid(0)))):
        fail(f"--verify: {escape(str(verify))} does not tell of calls: {escape(problem)}")
    tally = running.tally
    _run(_shown(running.run(), "sending", tally.planned, lambda: (tally.ended, _words(tally))))
    if audit is not None:
        looking_up = audit.run(tally.taken, connections)
        _run(_shown(looking_up, "verifying", tally.accepted, lambda: (audit.asked, f"{audit.missing} missing")))
    if as_json:
        print_json(_report(tally, audit) | {"seed": plan.seed})
    else:
        _show(tally, audit)
    if tally.accepted < tally.planned or not (audit is None or audit.asked == audit.found == tally.accepted):
        raise typer.Exit(1)


def _check_urls(url: str, base: str | None) -> None:
    for name, given in (("URL", url), ("--verify", base)):
        if given is not None and not given.startswith(("http://", "https://")):
            fail(f"{name}: expected http://… or https://…, got {escape(given)}")


def _read_key(key: str | None, path: Path | None) -> str | None:
    """The key, from its file where one is named."""
    if path is None:
        return key
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"--key-file: cannot read a key from {escape(str(path))}: {escape(str(error))}")


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def _shown(work: Coroutine[Any, Any, None], name: str, total: int, state: Callable[[], tuple[int, str]]) -> None:
    """Do `work` and show on a terminal how far it is; Ctrl-C ends it, and what was done until then counts."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    told = TextColumn("{task.fields[told]}")
    with Progress(
        *columns, told, console=err, transient=True, auto_refresh=False, disable=not sys.stderr.isatty()
    ) as progress:
        drawing = asyncio.create_task(_draw(progress, progress.add_task(name, total=total, told=""), state))
        try:
            await work
        except asyncio.CancelledError:
            err.print(f"{name} was interrupted", style="yellow")
        finally:
            drawing.cancel()


async def _draw(progress: Progress, task: TaskID, state: Callable[[], tuple[int, str]]) -> None:
    while not progress.disable:
        done, words = state()
        progress.update(task, completed=done, told=words, refresh=True)
        await asyncio.sleep(_REDRAW_S)


def _words(tally: "Tally") -> str:
    return f"{tally.accepted} accepted, {tally.refused} refused, {tally.silent} without an answer, {tally.late} late"


def _report(tally: "Tally", audit: "Audit | None") -> dict[str, Any]:
    """What a program is told; the latencies are null without any answer."""
    latencies = tally.latencies
    at_ms = {_name(percent): round(latencies.at(percent) * 1000, 3) for percent in (*_PERCENTS, 100)}
    return {
        "planned": tally.planned,
        "sent": tally.sent,
        "unsent": tally.unsent,
        "accepted": tally.accepted,
        "refused": tally.refused,
        "unanswered": tally.silent,
        "late": tally.late,
        "achieved_rate": round(tally.achieved_rate, 1),
        "elapsed_s": round(tally.elapsed_s, 3),
        "latency_ms": at_ms if latencies.total else None,
        "refusals": [{"count": count} | one._asdict() for one, count in tally.refusals.most_common()],
        "unanswered_why": [{"count": count, "reason": words} for words, count in tally.silences.most_common()],
        "verified": None if audit is None else _verified(audit),
    }


def _verified(audit: "Audit") -> dict[str, Any]:
    return {
        "asked": audit.asked,
        "found": audit.found,
        "missing": audit.missing,
        "first_missing": audit.first_missing,
        "unread": [{"count": count, "reason": words} for words, count in audit.unread.most_common()],
    }


def _name(percent: float) -> str:
    return f"p{percent:g}" if percent < 100 else "max"  # noqa: PLR2004  # all of them


def _show(tally: "Tally", audit: "Audit | None") -> None:
    told = _report(tally, audit)
    fields = {
        "sent": f"{tally.sent} of {tally.planned}" + (f", {tally.unsent} not in time" if tally.unsent else ""),
        "accepted": tally.accepted,
        "refused": tally.refused,
        "no answer": tally.silent,
        "late": f"{tally.late} began more than 100 ms after their time" if tally.late else 0,
        "answered": f"{told['achieved_rate']:g}/s over {told['elapsed_s']:g} s" if told["latency_ms"] else None,
        "latency": ", ".join(f"{name} {ms:.1f} ms" for name, ms in (told["latency_ms"] or {}).items()) or None,
    }
    if audit is not None:
        fields["in the ledger"] = f"{audit.found} of {tally.accepted} accepted"
    print_fields(fields)
    reasons: list[tuple[object, ...]] = [
        (count, "refused", *refusal) for refusal, count in tally.refusals.most_common(_TOLD_REASONS)
    ]
    for what, counter in (("no answer", tally.silences), ("unread", audit.unread if audit else Counter[str]())):
        reasons += [(count, what, None, None, words) for words, count in counter.most_common(_TOLD_REASONS)]
    if reasons:
        print_table(("count", "", "status", "result", "why"), reasons, "")
    if audit is not None and audit.missing:
        out.print(f"[red]{audit.missing} accepted and not in the ledger[/], the first of them:")
        for callid in audit.first_missing:
            out.print(callid)
