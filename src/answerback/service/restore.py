"""Puts a backup back into an empty data directory, after it has been verified."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from answerback.auth.server_secret import SERVER_SECRET_FILE
from answerback.config import Settings
from answerback.domain.models import ADMIN_KEY_FILE
from answerback.errors import ConfigError, LedgerUnavailable, UnavailableReason
from answerback.inbox import INBOX_FILE, lock_inbox
from answerback.inbox.file import INBOX_LOCK
from answerback.ledger import LEDGER_FILE
from answerback.service.backup import (
    DATABASES,
    FORMAT,
    MANIFEST_FILE,
    SECRETS,
    BackupFile,
    Manifest,
    Progress,
    check_database,
    hash_file,
    require_empty,
    require_space,
    sync_file,
)
from answerback.service.factories import inbox_config
from answerback.storage.disk import fsync_directory, require_durable_filesystem


def restore_backup(settings: Settings, directory: Path, progress: Progress) -> Manifest:
    """Put the backup in `directory` where the settings have a gateway's files.

    Raises ConfigError where there is anything already, or where it is no backup for these settings; LedgerUnavailable where it is damaged.
    Either everything is restored or nothing; after a kill there may be a part, on which no gateway opens a ledger.
    """
    manifest = _read_manifest(directory)
    _check_settings(settings, manifest)
    data_dir, inbox_dir = settings.server.data_dir, inbox_config(settings).directory
    for target in {data_dir, inbox_dir}:
        _require_unused(target)
        if not settings.ledger.allow_unsafe_filesystem:
            require_durable_filesystem(target)
        require_space(target, sum(file.size_bytes for file in manifest.files))
    _verify(directory, manifest, progress)
    targets = {
        file.name: (inbox_dir if file.name == INBOX_FILE else data_dir) / file.name for file in _in_order(manifest)
    }
    for target in {data_dir, inbox_dir}:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(inbox_dir), _removed_on_failure(targets.values()):
        for name, path in targets.items():
            progress(f"restore {name}", 0, 0)
            _restore_file(directory / name, path)
    return manifest


def _read_manifest(directory: Path) -> Manifest:
    path = directory / MANIFEST_FILE
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise ConfigError(
            f"{directory}: it is not a complete backup made by `answerback backup`: {MANIFEST_FILE}: {error.strerror}"
        ) from error
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path}: it cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise ConfigError(
            f"{path}: it has format {manifest.format}, this program reads {FORMAT}: use {manifest.program}"
        )
    if unknown := sorted({file.name for file in manifest.files} - {*DATABASES, *SECRETS}):
        raise ConfigError(f"{path}: it names {unknown[0]}, which is not a file of a backup")
    return manifest


def _check_settings(settings: Settings, manifest: Manifest) -> None:
    has_ledger = any(file.name == LEDGER_FILE for file in manifest.files)
    if has_ledger and settings.ledger.url is not None:
        raise ConfigError(
            "ledger.url: the backup has a SQLite ledger: restore it without ledger.url, and move it with answerback copy"
        )
    if not has_ledger and settings.ledger.url is None:
        raise ConfigError(
            "ledger.url: the ledger of this backup is in PostgreSQL: restore that with its own tools, and name it here"
        )


def _require_unused(directory: Path) -> None:
    """Raise ConfigError where a gateway runs on `directory`, or anything is in it."""
    if (directory / INBOX_LOCK).exists():
        os.close(lock_inbox(directory))
    require_empty(directory, but_for=INBOX_LOCK)


def _verify(directory: Path, manifest: Manifest, progress: Progress) -> None:
    for file in manifest.files:
        path = directory / file.name
        if not path.exists():
            raise LedgerUnavailable(UnavailableReason.DAMAGED, f"{path} is not there")
        if path.stat().st_size != file.size_bytes or hash_file(path, progress) != file.sha256:
            raise LedgerUnavailable(UnavailableReason.DAMAGED, f"{path} is not as it was when the backup was made")
        if file.name in DATABASES:
            check_database(path, progress)


def _in_order(manifest: Manifest) -> list[BackupFile]:
    """The admin key first, the ledger last: on a directory that has the one without the other no gateway starts."""
    order = (ADMIN_KEY_FILE, SERVER_SECRET_FILE, INBOX_FILE, LEDGER_FILE)
    return sorted(manifest.files, key=lambda file: order.index(file.name))


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let no gateway start on it meanwhile."""
    lock = lock_inbox(directory)
    try:
        yield
    finally:
        os.close(lock)


def _restore_file(source: Path, target: Path) -> None:
    """Copy a file; under its name it is there whole or not at all."""
    draft = _draft_of(target)
    shutil.copyfile(source, draft)
    draft.chmod(0o600)
    sync_file(draft)
    draft.rename(target)
    fsync_directory(target.parent)


def _draft_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.restoring")


@contextmanager
def _removed_on_failure(paths: Iterable[Path]) -> Iterator[None]:
    """Leave nothing behind; a kill leaves what no gateway takes for whole."""
    try:
        yield
    except BaseException:
        for path in paths:
            for each in (path, _draft_of(path)):
                each.unlink(missing_ok=True)
        raise
