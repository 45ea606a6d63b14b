"""`answerback import`: old callbacks from files and access logs into the ledger."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from answerback.cli.options import Config, DataDir, Timezone, settings_from, zone_of
from answerback.cli.output import AsJson, err, fail, out, print_fields, print_json, spoken_errors
from answerback.config import DEFAULT_CHANNEL, Settings
from answerback.errors import ConfigError
from answerback.imports import Bringing, Source, Tally, open_source
from answerback.imports.files import size_of
from answerback.imports.texts import check_encoding, lines_of
from answerback.ledger import FILE_NAME, Ledger
from answerback.ledger.admin.audit import COMMAND_LINE, AuditAction
from answerback.ledger.commands import RecordAuditEvent
from answerback.service.ledger_config import opening_of

_OWNER_ONLY = 0o077


def import_(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="JSON or access logs, gzipped or not; - is standard input."),
    ],
    channel: Annotated[str, typer.Option(help="The channel of lines that do not tell theirs.")] = DEFAULT_CHANNEL,
    encoding: Annotated[
        str | None,
        typer.Option(help="The encoding of the files, such as gbk or utf-16; by default what each looks like."),
    ] = None,
    timezone: Timezone = "UTC",
    tell: Annotated[bool, typer.Option("--tell", help="Tell endpoints of them, as if they came in now.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only read the files, record nothing.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Record callbacks of former times; repeats are ignored, so it can be run again. Endpoints are not told."""
    with spoken_errors():
        settings = settings_from(config, data_dir=data_dir)
        if channel not in settings.tokens():
            raise ConfigError(f"--channel: there is no channel {channel}: one of {', '.join(settings.tokens())}")
        tokens = {token: name for name, token in settings.tokens().items() if token is not None}
        zone = zone_of(timezone)
        encoding = encoding and check_encoding(encoding)
        for path in files:  # a wrong name is told before anything is recorded
            with open_source(path):
                pass
        with nullcontext(None) if dry_run else _ledger(settings) as ledger:
            if ledger is not None:
                about = (len(files), "files into", channel, "told to endpoints" if tell else "told to nobody")
                RecordAuditEvent(COMMAND_LINE, AuditAction.CALLBACKS_IMPORTED, about).run(ledger)
            bringing = Bringing(ledger, tokens, channel, tell=tell, zone=zone)
            faults = _take(files, bringing, encoding)
    if as_json:
        told = {"files": len(files), **msgspec.structs.asdict(bringing.tally), "faults": faults, "dry_run": dry_run}
        print_json(told)
    else:
        _show(bringing.tally, len(files), None if dry_run else settings.server.data_dir / FILE_NAME)
    if faults:
        fail(escape("; ".join(faults)))


@contextmanager
def _ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger, made where there is none yet."""
    os.umask(_OWNER_ONLY)
    with closing(opening_of(settings).open()) as ledger:
        yield ledger


def _take(files: list[Path], bringing: Bringing, encoding: str | None) -> list[str]:
    """Take the files one after the other; what kept some of them from being read to their ends."""
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[callbacks]:,} callbacks"),
        TextColumn("[dim]{task.fields[rate]:,.0f}/s[/]"),
        TimeRemainingColumn(),
    )
    before, faults = 0, []
    with Progress(*columns, console=err, transient=True, disable=not sys.stderr.isatty()) as progress:
        shown = progress.add_task("", total=size_of(files), callbacks=0, rate=0.0)
        for path in files:
            with open_source(path) as source:

                def advance(source: Source = source, before: int = before) -> None:
                    callbacks, elapsed_s = bringing.tally.callbacks, progress.tasks[0].elapsed or 0.0
                    rate = callbacks / elapsed_s if elapsed_s else 0.0
                    progress.update(shown, completed=before + source.read_bytes, callbacks=callbacks, rate=rate)

                bringing.take(source.name, lines_of(source, encoding), advance)
                before += source.read_bytes
                if source.fault is not None:
                    faults.append(source.fault)
    return faults


def _show(tally: Tally, files: int, ledger: Path | None) -> None:
    fields = {"files": files, "lines": tally.lines, "callbacks": tally.callbacks}
    if ledger is not None:
        fields |= {"recorded": tally.stored, "known already": tally.repeated}
    print_fields({name: f"{count:,}" for name, count in (fields | {"not recorded": tally.skipped}).items()})
    for reason, count in sorted(tally.reasons.items(), key=lambda item: -item[1]):
        out.print(f"[dim]{count:,} × {escape(reason)}[/]", soft_wrap=True)
    for skip in tally.examples:
        out.print(f"[dim]{escape(f'{skip.file}:{skip.line}: {skip.reason}')}[/]", soft_wrap=True)
    out.print("nothing was recorded: --dry-run" if ledger is None else f"ledger: {ledger}", soft_wrap=True)
