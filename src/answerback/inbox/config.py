"""Where the inbox is and how large it may become."""

from pathlib import Path

import msgspec


class InboxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings `inbox.*`, which the documentation of the configuration describes."""

    directory: Path
    max_bytes: int
    reserve_bytes: int
    keep_s: float
    allow_unsafe_filesystem: bool
