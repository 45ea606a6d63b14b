"""Whether a disk keeps what was synced, and whether SQLite's files on it are still the ones that were opened.

SQLite goes on writing, and syncing, a file that was moved, unlinked or replaced: the commit succeeds, and whoever opens the
path later finds nothing of it. So device and inode of each path are compared, before a transaction and after its commit.
"""

import os
from pathlib import Path

from answerback.errors import LedgerUnavailable, UnavailableReason, UnsafeStorage

_MEMORY_FILESYSTEMS = {"tmpfs", "ramfs", "devtmpfs"}
_NETWORK_FILESYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "fuse.sshfs",
    "fuse.glusterfs",
    "vboxsf",
}
_NO_BARRIER_OPTIONS = {"nobarrier", "barrier=0"}

FileId = tuple[int, int]
"""A file's device and inode."""

FileIds = list[FileId | None]


class SQLiteFiles:
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
    what = "is not there" if file_id(path) is None else "is not the file that was opened"
    return LedgerUnavailable(UnavailableReason.MOVED, f"{path} {what}")


def check_wal(path: Path) -> None:
    """Raise LedgerUnavailable where there is a write-ahead log and no database: SQLite would throw the newest callbacks away."""
    log = Path(f"{path}-wal")
    if has_content(log) and not has_content(path):
        raise LedgerUnavailable(
            UnavailableReason.MOVED,
            f"{log} is the log of {path.name}, but that {missing_reason(path)}: put it back, or move the log away as well",
        )


def has_content(path: Path) -> bool:
    """Whether there is such a file with something in it."""
    return path.exists() and path.stat().st_size > 0


def missing_reason(path: Path) -> str:
    """Why a file has no content."""
    return "is empty" if path.exists() else "is not there"


def require_durable_filesystem(directory: Path, setting: str = "server.data_dir") -> None:
    """Refuse a directory, existing or not, on a file system that may lose committed data. Raises UnsafeStorage and says what to do.

    `setting` is where the directory is configured.
    """
    if problem := unsafe_filesystem_reason(directory):
        raise UnsafeStorage(
            f"{directory}: {problem}. Choose another {setting}; for a trial in which answered callbacks may be lost, "
            f"set ledger.allow_unsafe_filesystem"
        )


def unsafe_filesystem_reason(directory: Path) -> str | None:
    """Why this directory, existing or not, may lose committed data; None if it is safe."""
    if "eatmydata" in os.environ.get("LD_PRELOAD", ""):
        return "libeatmydata is preloaded, which makes fsync do nothing"
    kind, options = _mount_of(nearest_existing_parent(directory))
    if kind in _MEMORY_FILESYSTEMS:
        return f"the file system is {kind}: it is in memory and does not survive a restart"
    if kind in _NETWORK_FILESYSTEMS:
        return f"the file system is {kind}: SQLite's write-ahead log needs a local disk"
    if lost := _NO_BARRIER_OPTIONS & options:
        return f"the file system is mounted with {lost.pop()}: a power failure loses data that was synced"
    if kind == "overlay" and "volatile" in options:
        return "the file system is an overlay mounted volatile: it ignores every sync"
    return None


def nearest_existing_parent(directory: Path) -> Path:
    """`directory`, or the nearest one above it that is there."""
    directory = directory.resolve()
    return directory if directory.exists() else nearest_existing_parent(directory.parent)


def _mount_of(directory: Path) -> tuple[str, set[str]]:
    """The type and the options of the mount that holds `directory`; ("", empty) if the system does not report it."""
    device = directory.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    found: tuple[str, set[str]] = ("", set())
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        mount, _, rest = line.partition(" - ")
        fields, (kind, _source, *superblock) = mount.split(), rest.split(" ")
        if fields[2] == number:
            found = (kind, {*fields[5].split(","), *" ".join(superblock).split(",")})
    return found


def fsync_directory(directory: Path) -> None:
    """Make a new file's name as durable as its bytes."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise LedgerUnavailable(
            UnavailableReason.DISK_FAILED, f"{directory}: cannot be synced: {error.strerror}"
        ) from error
