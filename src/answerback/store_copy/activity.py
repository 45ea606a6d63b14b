"""Whether the source is still being written: by the gateways that serve it, or by a command."""

import time
from typing import Any

from answerback.ledger.admin.instances import InstanceStatus, find_instances
from answerback.ledger.tables import endpoint_revision, hourly_ingest, instances, write_probes
from answerback.store_copy.connection import StoreConnection

SILENT_US = 8_000_000
"""Who was not heard of for so long has ended, however it did: it says a word every three seconds."""

_RETRY_S = 0.5
_SEQUENCES = (
    "SELECT string_agg(sequencename || ':' || coalesce(last_value, 0), ' ' ORDER BY sequencename) FROM pg_sequences"
)


class WriteWatch:
    """What the source looked like when the watch began."""

    def __init__(self, source: StoreConnection) -> None:
        self._source = source
        self._began = _change_token(source)

    def has_changed(self) -> bool:
        """Whether anything was written since. Where a gateway was heard of just now, it waits for its next word."""
        while (now := _change_token(self._source)) == self._began:
            if not live_instances(self._source):
                return False
            time.sleep(_RETRY_S)
        return now != self._began


def live_instances(side: StoreConnection) -> list[InstanceStatus]:
    """The gateways that serve a ledger, or did so a moment ago."""
    with side.transaction() as connection:
        return [seen for seen in find_instances(connection) if seen.silent_us < SILENT_US]


def _change_token(side: StoreConnection) -> object:
    """What is another thing after any write."""
    if not side.on_postgresql:
        return side.scalar("PRAGMA data_version")
    columns: list[Any] = [instances.c.id, instances.c.heartbeat_us]
    return (
        side.scalar(_SEQUENCES),
        side.read_rows(*columns),
        side.read_rows(write_probes.c.committed_us),
        side.read_rows(endpoint_revision.c.revision),
        side.read_rows(*hourly_ingest.c),
    )
