"""`answerback inbox`: callbacks that were answered and are not in the ledger yet."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from answerback.cli.language import tr, tr_all, tr_message
from answerback.cli.options import AsJson, Config, DatabaseUrl, DataDir, load_cli_settings
from answerback.cli.output import out, print_fields
from answerback.cli.plain_output import print_json
from answerback.cli.progress import ProgressBars, RateColumn
from answerback.errors import ConfigError
from answerback.inbox import INBOX_FILE, InboxReader, lock_inbox
from answerback.ledger.admin.audit import CLI_ACTOR, AuditAction
from answerback.ledger.commands import LogPositions, RecordAuditEvent
from answerback.recorder import record_inbox_file
from answerback.service.ledger_config import ledger_config

_OWNER_ONLY = 0o077

app = typer.Typer(no_args_is_help=True)


@app.callback()
def inbox() -> None:
    """Inboxes: callbacks that were answered and wait to be recorded."""


@app.command("record")
def record(
    file: Annotated[Path, typer.Argument(help=f"The inbox, {INBOX_FILE}, or the directory that it is in.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Record a dead gateway's inbox into the ledger, with its deliveries. What the ledger has already is skipped."""
    path = file / INBOX_FILE if file.is_dir() else file
    settings = load_cli_settings(config, data_dir=data_dir, database_url=database_url)
    os.umask(_OWNER_ONLY)
    with (
        _locked(path),
        closing(InboxReader(path)) as reader,
        closing(ledger_config(settings).open()) as ledger,
    ):
        logs = [generation.id for generation in reader.generations()]
        waiting = reader.waiting(LogPositions(logs).run(ledger)).callbacks
        RecordAuditEvent(CLI_ACTOR, AuditAction.INBOX_RECORDED, (waiting, "callbacks")).run(ledger)
        count = TextColumn("{task.completed:,.0f} " + tr("callbacks"))
        with ProgressBars(BarColumn(), TaskProgressColumn(), count, RateColumn(), TimeRemainingColumn()) as bars:
            shown = bars.add_task("", total=waiting)
            summary = record_inbox_file(reader, ledger, lambda done: bars.update(shown, completed=done.callbacks))
    dispositions = {one.name.lower(): count for one, count in sorted(summary.dispositions.items())}
    fields = {"rows": summary.rows, "unreadable_rows": summary.unreadable_rows, "callbacks": summary.callbacks}
    if as_json:
        print_json({"file": str(path), **fields, "dispositions": dispositions})
    else:
        labels = tr_all("rows", "unreadable rows", "callbacks")
        counts = dict(zip(labels, fields.values(), strict=True)) | {
            tr_message(name): count for name, count in dispositions.items()
        }
        print_fields({name: f"{count:,}" for name, count in counts.items()})
        if summary.unreadable_rows:
            out.print(tr("answerback quarantine list shows which rows could not be read."))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let no gateway open the inbox meanwhile. Raises ConfigError where one has it open."""
    if path.name != INBOX_FILE or not path.exists():  # no gateway uses it
        yield
        return
    try:
        lock = lock_inbox(path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: a gateway uses this inbox and records it itself: stop it first") from error
    try:
        yield
    finally:
        os.close(lock)
