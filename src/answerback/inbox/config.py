"""Where the inbox is and how large it may become."""

from pathlib import Path

import msgspec


class InboxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings `inbox.*`, which the documentation of the configuration describes."""

    directory: Path
    max_bytes: int = 1024 * 1024 * 1024
    reserve_bytes: int = 64 * 1024 * 1024
    keep_s: float = 600.0
    allow_unsafe_filesystem: bool = False
