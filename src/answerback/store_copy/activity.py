"""Whether the source is still being written: by the gateways that serve it, or by a command."""

import time
from typing import Any

from answerback.ledger.admin.instances import Seen, find_members
from answerback.ledger.tables import arrivals, endpoint_changes, members, probes
from answerback.store_copy.connection import Side

SILENT_US = 8_000_000
"""Who was not heard of for so long has ended, however it did: it says a word every three seconds."""

_AGAIN_S = 0.5
_SEQUENCES = (
    "SELECT string_agg(sequencename || ':' || coalesce(last_value, 0), ' ' ORDER BY sequencename) FROM pg_sequences"
)


class Watch:
    """What the source looked like when the watch began."""

    def __init__(self, source: Side) -> None:
        self._source = source
        self._began = _pulse(source)

    def written(self) -> bool:
        """Whether anything was written since. Where a gateway was heard of just now, it waits for its next word."""
        while (now := _pulse(self._source)) == self._began:
            if not living(self._source):
                return False
            time.sleep(_AGAIN_S)
        return now != self._began


def living(side: Side) -> list[Seen]:
    """The gateways that serve a ledger, or did so a moment ago."""
    with side.transaction() as connection:
        return [seen for seen in find_members(connection) if seen.silent_us < SILENT_US]


def _pulse(side: Side) -> object:
    """What is another thing after any write."""
    if not side.on_postgresql:
        return side.scalar("PRAGMA data_version")
    columns: list[Any] = [members.c.id, members.c.beat_us]
    return (
        side.scalar(_SEQUENCES),
        side.listed(*columns),
        side.listed(probes.c.committed_us),
        side.listed(endpoint_changes.c.revision),
        side.listed(*arrivals.c),
    )
