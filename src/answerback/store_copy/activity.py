"""Whether the source is still being written: by the gateways that serve it, or by a command."""

import time

from answerback.ledger.admin.instances import InstanceStatus, find_instances
from answerback.store_copy.connection import StoreConnection

SILENT_US = 8_000_000
"""Who was not heard of for so long has ended, however it did: it says a word every three seconds."""

_RETRY_S = 0.5


class WriteWatch:
    """What the source looked like when the watch began."""

    def __init__(self, source: StoreConnection) -> None:
        self._source = source
        self._began = source.change_token()

    def has_changed(self) -> bool:
        """Whether anything was written since. Where a gateway was heard of just now, it waits for its next word."""
        while (now := self._source.change_token()) == self._began:
            if not live_instances(self._source):
                return False
            time.sleep(_RETRY_S)
        return now != self._began


def live_instances(side: StoreConnection) -> list[InstanceStatus]:
    """The gateways that serve a ledger, or did so a moment ago."""
    with side.transaction() as connection:
        return [seen for seen in find_instances(connection) if seen.silent_us < SILENT_US]
