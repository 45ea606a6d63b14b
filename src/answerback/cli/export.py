"""`answerback export`: write calls, callbacks, deliveries or statistics to a file, straight from the ledger."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from answerback.cli import options
from answerback.cli.language import tr, tr_message
from answerback.cli.output import FullNumbers, err, fail
from answerback.cli.progress import ProgressBars, RateColumn
from answerback.errors import ConfigError
from answerback.exports import Dataset, Export, FileFormat
from answerback.exports.write import write_export
from answerback.gc_tuning import freeze_gc
from answerback.ledger import Ledger
from answerback.ledger.admin.audit import CLI_ACTOR, AuditAction
from answerback.ledger.commands import RecordAuditEvent

_OWNER_ONLY = 0o600
_STDOUT = Path("-")

Moment = typer.Option(formats=options.TIME_FORMATS, help="In --timezone.")


def export(
    dataset: Annotated[Dataset, typer.Argument(help="What to export.")],
    file_format: Annotated[FileFormat, typer.Option("--format", help="The file format.")] = FileFormat.CSV,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; - is standard output.")] = _STDOUT,
    channel: options.ByChannel = None,
    mobile: options.ByMobile = None,
    outcome: options.ByOutcome = None,
    kind: options.ByKind = None,
    failure_code: options.ByFailureCode = None,
    reference: options.ByReference = None,
    since: Annotated[datetime | None, Moment] = None,
    until: Annotated[datetime | None, Moment] = None,
    timezone: options.Timezone = "UTC",
    endpoint: options.ByEndpoint = None,
    state: options.ByState = None,
    callid: options.ByCallid = None,
    full_numbers: FullNumbers = False,
    data_dir: options.DataDir = None,
    config: options.Config = None,
) -> None:
    filters: dict[str, Any] = {
        "channel": channel,
        "mobile": mobile,
        "outcome": outcome,
        "kind": kind,
        "failure_code": failure_code,
        "reference": reference,
        "since": since,
        "until": until,
        "state": state,
        "callid": callid,
    }
    with options.open_calls(config, data_dir=data_dir) as ledger:
        zone = options.load_zone(timezone)
        for name in ("since", "until"):
            filters[name] = filters[name] and filters[name].replace(tzinfo=zone)
        filters["endpoint_id"] = None if endpoint is None else ledger.endpoint(endpoint).id
        spec = Export.of(dataset, file_format, filters, full_numbers=full_numbers)
        RecordAuditEvent(CLI_ACTOR, AuditAction.EXPORTED, (spec.audit_summary,)).run(ledger)
        if output == _STDOUT:
            _to_stdout(ledger, spec)
        else:
            with _whole(output) as file:
                rows = _write(ledger, spec, file)
            said = tr("{rows:,} {dataset} in {output}", rows=rows, dataset=tr_message(dataset), output=output)
            err.print(said, soft_wrap=True)


def _to_stdout(ledger: Ledger, spec: Export) -> None:
    if not spec.format.is_text and sys.stdout.isatty():
        fail(tr("{format} is not for a terminal: name a file with --output", format=spec.format))
    try:
        _write(ledger, spec, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # whoever read it has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file that only its owner can read and that gets its name once complete. Raises ConfigError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY), "wb") as file:
            yield file
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"--output: {path} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def _write(ledger: Ledger, spec: Export, file: BinaryIO) -> int:
    freeze_gc()
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} " + tr_message(spec.dataset)),
        RateColumn("rows"),
        TimeRemainingColumn(),
    )
    with ProgressBars(*columns) as progress:
        shown = progress.add_task("", total=1.0, rows=0)

        def advance(rows: int, share: float) -> None:
            progress.update(shown, completed=share, rows=rows)

        return write_export(ledger, spec, file, advance)
