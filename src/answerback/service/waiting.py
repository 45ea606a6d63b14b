"""What the inbox on this machine holds and the ledger does not, read from its file."""

from contextlib import closing

from answerback.config import Settings
from answerback.inbox import FILE_NAME, InboxReader, Waiting
from answerback.ledger import Ledger
from answerback.ledger.commands import LogPositions
from answerback.service.factories import inbox_config


def read_waiting(settings: Settings, ledger: Ledger) -> Waiting | None:
    """What waits to be recorded into `ledger`; None without an inbox. Raises LedgerUnavailable, SchemaMismatch."""
    path = inbox_config(settings).directory / FILE_NAME
    if not path.exists():
        return None
    with closing(InboxReader(path)) as reader:
        logs = [generation.id for generation in reader.generations()]
        return reader.waiting(LogPositions(logs).run(ledger))
