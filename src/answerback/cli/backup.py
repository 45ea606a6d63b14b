"""`answerback backup` and `answerback restore`: a copy of all that a gateway keeps on this machine, and back."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, TaskProgressColumn, TextColumn

from answerback.cli.language import tr, tr_message
from answerback.cli.options import AsJson, Config, DatabaseUrl, DataDir, load_cli_settings
from answerback.cli.output import out, print_fields
from answerback.cli.plain_output import print_json
from answerback.cli.progress import ProgressBars
from answerback.service.backup import Manifest, make_backup
from answerback.service.restore import restore_backup

_OWNER_ONLY = 0o077


def backup(
    directory: Annotated[Path, typer.Argument(help="Where to: a directory that is new or empty.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    with _StepBars() as bar:
        os.umask(_OWNER_ONLY)
        settings = load_cli_settings(config, data_dir=data_dir, database_url=database_url)
        manifest = make_backup(settings, directory, bar.show)
    _print(directory, manifest, as_json=as_json)
    if not as_json:
        for each in manifest.left_out:
            out.print(f"[yellow]{tr('not in it:')}[/] {tr_message(each)}", soft_wrap=True)


def restore(
    directory: Annotated[Path, typer.Argument(help="The backup: the directory that `answerback backup` has made.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    with _StepBars() as bar:
        os.umask(_OWNER_ONLY)
        settings = load_cli_settings(config, data_dir=data_dir, database_url=database_url)
        manifest = restore_backup(settings, directory, bar.show)
    _print(settings.server.data_dir, manifest, as_json=as_json)
    if not as_json:
        out.print(
            tr(
                "Keys that were revoked since the backup are valid again: look at them with answerback keys list before you start the gateway."
            ),
            soft_wrap=True,
        )


def _print(directory: Path, manifest: Manifest, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {"directory": str(directory), **{name: getattr(manifest, name) for name in manifest.__struct_fields__}}
        )
        return
    print_fields(
        {
            tr("directory"): directory,
            tr("made at"): manifest.made_at,
            tr("files"): [
                tr("{name} ({bytes:,} bytes)", name=file.name, bytes=file.size_bytes) for file in manifest.files
            ],
            **{tr_message(table): f"{count:,}" for table, count in manifest.rows.items()},
            tr("waiting to be recorded"): None
            if manifest.waiting is None
            else tr("{callbacks:,} callbacks", callbacks=manifest.waiting),
            tr("verified"): tr("every page and every byte"),
        }
    )


class _StepBars(ProgressBars):
    """One line for each step."""

    def __init__(self) -> None:
        super().__init__(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())

    def show(self, step: str, done: int, total: int) -> None:
        """Show how far a step is; a step without a `total` takes as long as it takes."""
        said = tr_message(step)
        is_shown = self.tasks and self.tasks[-1].description == said
        task = self.tasks[-1].id if is_shown else self.add_task(said, total=None)
        self.update(task, completed=done, total=total or None)
