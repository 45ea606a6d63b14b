"""The stores of which each passes the suite: one line makes another one pass it, or fail."""

from collections.abc import Callable
from pathlib import Path

from answerback.receiver import MemoryStore, ReadableStore, SQLiteStore

STORES: dict[str, Callable[[Path], ReadableStore]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda home: SQLiteStore(home / "voice.db", keep_days=None, allow_unsafe_filesystem=True),
}
"""Name -> a new store, or one on what an earlier one left in that directory."""

LASTING = sorted(STORES.keys() - {"memory"})
"""Those that keep what they have beyond their process, and are shared by several."""
