"""Which ledger the settings name, and a way to look into it."""

import contextlib
from collections.abc import Iterator

from answerback.auth.server_secret import ServerSecret
from answerback.config import Settings
from answerback.errors import ConfigError
from answerback.ledger import FILE_NAME, Ledger, Opening
from answerback.ledger.admin.audit import COMMAND_LINE, AuditAction
from answerback.ledger.commands import RecordAuditEvent


def opening_of(settings: Settings) -> Opening:
    """The ledger that the settings name; the ids of its callbacks are those of the gateway whose secret is at hand."""
    store, secret = settings.ledger.store, ServerSecret.find(settings.server)
    return Opening(
        data_dir=str(settings.server.data_dir.resolve()),
        store=None if store is None else store.get_secret_value(),
        lock_timeout_s=settings.ledger.lock_timeout_s,
        allow_unsafe_place=settings.ledger.allow_unsafe_place,
        quarantine_bytes=settings.quarantine.max_bytes,
        quarantine_per_minute=settings.quarantine.max_per_minute,
        id_key=None if secret is None else secret.id_key,
    )


@contextlib.contextmanager
def reading(settings: Settings) -> Iterator[Ledger]:
    """The ledger that is there already, for a command that looks into it. Raises ConfigError where there is none."""
    path = settings.server.data_dir / FILE_NAME
    if settings.ledger.store is None and not path.exists():
        raise ConfigError(f"server.data_dir: there is no ledger at {path}; name it with --data-dir")
    with contextlib.closing(opening_of(settings).open()) as ledger:
        yield ledger


def record_reveal(ledger: Ledger, *target: str | int) -> None:
    """Keep that a command shows numbers in full; it does so only after this. Raises LedgerUnavailable."""
    RecordAuditEvent(COMMAND_LINE, AuditAction.NUMBERS_REVEALED, target).run(ledger)
