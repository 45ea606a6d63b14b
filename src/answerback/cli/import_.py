"""`answerback import`: old callbacks from files and access logs into the ledger."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from answerback.cli.language import tr, tr_message
from answerback.cli.options import AsJson, Config, DataDir, Timezone, load_cli_settings, load_zone
from answerback.cli.output import fail, out, print_fields
from answerback.cli.plain_output import print_json
from answerback.cli.progress import ProgressBars, RateColumn
from answerback.config import Settings
from answerback.domain.models import DEFAULT_CHANNEL
from answerback.errors import ConfigError
from answerback.imports import Importer, ImportSummary, InputFile, open_input
from answerback.imports.files import total_size
from answerback.imports.texts import check_encoding, iter_lines
from answerback.ledger import LEDGER_FILE, Ledger
from answerback.ledger.admin.audit import CLI_ACTOR, AuditAction
from answerback.ledger.commands import RecordAuditEvent
from answerback.service.ledger_config import ledger_config

_OWNER_ONLY = 0o077


def import_(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="JSON files or access logs, optionally gzipped; - is standard input."),
    ],
    channel: Annotated[str, typer.Option(help="The channel of lines that do not name one.")] = DEFAULT_CHANNEL,
    encoding: Annotated[
        str | None, typer.Option(help="The encoding of the files, such as gbk or utf-16; detected by default.")
    ] = None,
    timezone: Timezone = "UTC",
    deliver: Annotated[
        bool, typer.Option("--deliver", help="Deliver them to endpoints as if they came in now.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read the files but record nothing.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    settings = load_cli_settings(config, data_dir=data_dir)
    if channel not in settings.tokens():
        raise ConfigError(f"--channel: there is no channel {channel}: one of {', '.join(settings.tokens())}")
    tokens = {token: name for name, token in settings.tokens().items() if token is not None}
    zone = load_zone(timezone)
    encoding = encoding and check_encoding(encoding)
    for path in files:  # a missing file is reported before anything is recorded
        with open_input(path):
            pass
    with nullcontext(None) if dry_run else _ledger(settings) as ledger:
        if ledger is not None:
            about = (len(files), "files into", channel, "delivered to endpoints" if deliver else "not delivered")
            RecordAuditEvent(CLI_ACTOR, AuditAction.CALLBACKS_IMPORTED, about).run(ledger)
        importer = Importer(ledger, tokens, channel, deliver=deliver, zone=zone)
        faults = _import_files(files, importer, encoding)
    if as_json:
        result = {"files": len(files), **msgspec.structs.asdict(importer.summary), "faults": faults, "dry_run": dry_run}
        print_json(result)
    else:
        _show(importer.summary, len(files), None if dry_run else settings.server.data_dir / LEDGER_FILE)
    if faults:
        fail(escape("; ".join(map(tr_message, faults))))


@contextmanager
def _ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger, created if there is none yet."""
    os.umask(_OWNER_ONLY)
    with closing(ledger_config(settings).open()) as ledger:
        yield ledger


def _import_files(files: list[Path], importer: Importer, encoding: str | None) -> list[str]:
    """Import the files one after the other; returns the problems of those that could not be read to the end."""
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[callbacks]:,} " + tr("callbacks")),
        RateColumn("callbacks"),
        TimeRemainingColumn(),
    )
    before, faults = 0, []
    with ProgressBars(*columns) as progress:
        shown = progress.add_task("", total=total_size(files), callbacks=0)
        for path in files:
            with open_input(path) as source:

                def advance(source: InputFile = source, before: int = before) -> None:
                    done = before + source.read_bytes
                    progress.update(shown, completed=done, callbacks=importer.summary.callbacks)

                importer.import_lines(source.name, iter_lines(source, encoding), advance)
                before += source.read_bytes
                if source.error is not None:
                    faults.append(source.error)
    return faults


def _show(tally: ImportSummary, files: int, ledger: Path | None) -> None:
    fields = {tr("files"): files, tr("lines"): tally.lines, tr("callbacks"): tally.callbacks}
    if ledger is not None:
        fields |= {tr("recorded"): tally.stored, tr("known already"): tally.repeated}
    print_fields({name: f"{count:,}" for name, count in (fields | {tr("not recorded"): tally.skipped}).items()})
    for reason, count in sorted(tally.reasons.items(), key=lambda item: -item[1]):
        out.print(f"[dim]{count:,} × {escape(tr_message(reason))}[/]", soft_wrap=True)
    for skip in tally.examples:
        out.print(f"[dim]{escape(f'{skip.file}:{skip.line}: {tr_message(skip.reason)}')}[/]", soft_wrap=True)
    said = tr("nothing was recorded: --dry-run") if ledger is None else tr("ledger: {ledger}", ledger=ledger)
    out.print(said, soft_wrap=True)
