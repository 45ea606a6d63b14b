"""`answerback export`: write calls, callbacks, deliveries or statistics to a file."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, Unpack

import typer
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from answerback.cli import options
from answerback.cli.language import tr, tr_message
from answerback.cli.options import FullNumbers
from answerback.cli.output import err, fail
from answerback.cli.plain_output import discard_unwritable
from answerback.cli.progress import ProgressBars
from answerback.cli.target import GatewayTarget, for_gateway
from answerback.domain.exports import Dataset, FileFormat
from answerback.errors import ConfigError
from answerback.service.check_result import format_bytes

_OWNER_ONLY = 0o600
_STDOUT = Path("-")


@for_gateway
def export(
    target: GatewayTarget,
    dataset: Annotated[Dataset, typer.Argument(help="What to export.")],
    file_format: Annotated[FileFormat, typer.Option("--format", help="The file format.")] = FileFormat.CSV,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; - is standard output.")] = _STDOUT,
    full_numbers: FullNumbers = False,
    **filters: Unpack[options.ExportOptions],
) -> None:
    zone = options.load_zone(filters["timezone"])
    for name in ("since", "until"):
        if (moment := filters[name]) is not None:
            filters[name] = moment.replace(tzinfo=zone)
    if output == _STDOUT and not file_format.is_text and sys.stdout.isatty():
        fail(tr("{format} is not for a terminal: name a file with --output", format=file_format))
    with target.open(full_numbers=full_numbers) as gateway:
        exported = gateway.export(dataset, file_format, **filters)
        if output == _STDOUT:
            _to_stdout(exported, dataset)
            return
        with _whole(output) as file:
            amount = _write(exported, dataset, file)
        err.print(tr("{amount} in {output}", amount=amount, output=output), soft_wrap=True)


def _to_stdout(exported: Iterable[bytes], dataset: Dataset) -> None:
    try:
        _write(exported, dataset, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # whoever read it has seen enough
        discard_unwritable()
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


def _write(exported: Iterable[bytes], dataset: Dataset, file: BinaryIO) -> str:
    """Write the file, and show how far it is; how much it was: rows, or the bytes of what a gateway sends without a count."""
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    size_bytes, amount = 0, ""
    with ProgressBars(*columns) as progress:
        shown = progress.add_task("", total=None, amount=amount)
        for chunk in exported:
            size_bytes += file.write(chunk)
            rows, share = getattr(exported, "row_count", None), getattr(exported, "progress", None)
            amount = (
                format_bytes(size_bytes)
                if rows is None
                else tr("{rows:,} {dataset}", rows=rows, dataset=tr_message(dataset))
            )
            progress.update(shown, total=share and 1.0, completed=share, amount=amount)
    return amount
