"""Callbacks come in: recorded the way a recorder does it."""

import os
from collections.abc import Iterable
from datetime import datetime

from builders import stream_rows

from answerback.domain.batches import BatchItem, CallbackBatch
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import RecordLog
from answerback.ledger.types import to_us


async def record(ledger: LedgerClient, raws: Iterable[bytes], received_at: datetime) -> None:
    """Have `raws` recorded in one batch, as received by the channel `default`."""
    items = [BatchItem("default", raw, to_us(received_at)) for raw in raws]
    batch = CallbackBatch(os.urandom(16), to_us(received_at), items)
    await ledger.execute(RecordLog(b"", 0, stream_rows([batch]), list(ledger.saturated)))
