"""`answerback conform`: check a callback receiver against the vendor's contract."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.table import Table
from rich.text import Text

from answerback.cli.language import current_language, tr, tr_message
from answerback.cli.options import AsJson
from answerback.cli.output import fail, out
from answerback.cli.plain_output import print_json
from answerback.cli.progress import ProgressBars
from answerback.domain.arguments import require_http_url
from answerback.i18n import Language

if TYPE_CHECKING:
    from answerback.emulator.conformance.checking import RuleResult
    from answerback.emulator.conformance.receiver_client import ReceiverClient
    from answerback.emulator.conformance.reports import Report
    from answerback.emulator.conformance.scenarios import Rule

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red"}


def conform(
    url: Annotated[str, typer.Argument(help="The callback URL, e.g. http://127.0.0.1:8000/voice/callback")],
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="RULE", help="Check only this rule; may be repeated.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=300, help="Seconds to wait for a response.")] = 5.0,
    junit: Annotated[Path | None, typer.Option(help="Also write the report to this file as JUnit XML.")] = None,
    as_json: AsJson = False,
) -> None:
    from answerback.emulator.conformance.receiver_client import ReceiverClient

    require_http_url("URL", url)
    client, rules, language = ReceiverClient(url, timeout), _chosen(only or []), current_language()
    began_s, started_at, run = perf_counter(), datetime.now(UTC), uuid.uuid1()
    verdicts = asyncio.run(_check(client, rules, run))

    from answerback.emulator.conformance.reports import build_report, encode_junit

    report = build_report(
        verdicts,
        receiver=client.origin,
        run=str(run),
        started_at=started_at,
        seconds=perf_counter() - began_s,
        lang=language,
    )
    if junit is not None:
        try:
            junit.write_bytes(encode_junit(report))
        except OSError as error:
            fail(f"--junit: {escape(str(error))}")
    if as_json:
        print_json(report)
    else:
        _show(report, language)
    if not report.conforms:
        raise typer.Exit(1)


def _chosen(only: Sequence[str]) -> "Sequence[Rule]":
    from answerback.emulator.conformance.rules import RULES

    known = {rule.id for rule in RULES}
    for name in only:
        if name not in known:
            rules = ", ".join(rule.id for rule in RULES)
            fail(escape(tr("--only: there is no rule {name}; the rules are {rules}", name=name, rules=rules)))
    return [rule for rule in RULES if not only or rule.id in only]


async def _check(client: "ReceiverClient", rules: "Sequence[Rule]", run: uuid.UUID) -> "list[RuleResult]":
    from answerback.emulator.conformance.checking import check

    verdicts = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    if (why := await client.check_connection()) is not None:
        fail(escape(tr("there is no receiver to check: {why}", why=tr_message(why))))
    with ProgressBars(*columns) as progress:
        checking = progress.add_task(tr("checking"), total=len(rules))
        async for verdict in check(client, rules, run):
            verdicts.append(verdict)
            progress.advance(checking)
    return verdicts


def _show(report: "Report", lang: Language) -> None:
    from answerback.emulator.conformance.reports import summary

    out.print(table_of(report, lang))
    out.print(summary(report).translate(lang))


def table_of(report: "Report", lang: Language) -> Table:
    """A row for each rule; nothing is cut off, however narrow the terminal."""
    from answerback.emulator.conformance.reports import HEADINGS, LEVELS

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, whole in zip(HEADINGS, (True, True, False, False), strict=True):
        table.add_column(heading.translate(lang), no_wrap=whole, overflow="fold")  # Chinese has no blank to break at
    for item in report.items:
        level = Text(LEVELS[item.level].translate(lang), style=_COLOURS[item.level])
        seen = Text(item.seen if item.fix is None else f"{item.seen}\n→ {item.fix}")
        table.add_row(level, item.rule, Text(item.what), seen)
    return table
