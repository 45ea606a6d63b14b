"""Whether SQLite's files are still the ones that were opened.

SQLite goes on writing, and syncing, a file that was moved, unlinked or replaced: the commit succeeds, and whoever opens the
path later finds nothing of it. So device and inode of each path are compared, before a transaction and after its commit.
"""

import os
from pathlib import Path

from answerback.errors import LedgerUnavailable, UnavailableReason

FileId = tuple[int, int]
"""A file's device and inode."""

FileIds = list[FileId | None]


class LedgerFiles:
    """The database, its write-ahead log and that log's index, as they are when this is made: all must be open then."""

    def __init__(self, path: Path, ids: FileIds | None = None) -> None:
        """With `ids`, those that they have to be."""
        self._paths = [f"{path}{suffix}" for suffix in ("", "-wal", "-shm")]
        self.ids = ids or [file_id(path) for path in self._paths]
        self.check()

    def check(self) -> None:
        """Raise LedgerUnavailable where a path does not name its file any more; it is well again once it does."""
        for path, known in zip(self._paths, self.ids, strict=True):
            if known is None or file_id(path) != known:
                raise moved_error(path)


def file_id(path: str) -> FileId | None:
    """Which file a path names; None where it names none."""
    try:
        found = os.stat(path)  # noqa: PTH116  # on the hot path
    except OSError:
        return None
    return found.st_dev, found.st_ino


def moved_error(path: str) -> LedgerUnavailable:
    """The error for a path that does not name its file any more."""
    what = "is not there" if file_id(path) is None else "is another file than the one that was opened"
    return LedgerUnavailable(UnavailableReason.MOVED, f"{path} {what}")


def check_wal(path: Path) -> None:
    """Raise LedgerUnavailable where there is a log and no ledger: SQLite would throw it away, and the newest callbacks with it."""
    log = Path(f"{path}-wal")
    if has_content(log) and not has_content(path):
        raise LedgerUnavailable(
            UnavailableReason.MOVED,
            f"{log} is the log of a ledger, but {path.name} {missing_reason(path)}: put that back, or move the log away as well",
        )


def has_content(path: Path) -> bool:
    """Whether there is such a file with something in it."""
    return path.exists() and path.stat().st_size > 0


def missing_reason(path: Path) -> str:
    """Why a file has no content."""
    return "is empty" if path.exists() else "is not there"
