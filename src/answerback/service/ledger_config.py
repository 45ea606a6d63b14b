"""The ledger that the settings name, and how commands open it."""

import contextlib
from collections.abc import Iterator

from answerback.auth.server_secret import ServerSecret
from answerback.config import Settings
from answerback.domain.models import ADMIN_KEY_FILE
from answerback.errors import ConfigError
from answerback.ledger import LEDGER_FILE, Ledger, LedgerConfig


def ledger_config(settings: Settings) -> LedgerConfig:
    """The configuration of the ledger; the ids of its callbacks are keyed by the server secret, if there is one."""
    store, secret = settings.ledger.url, ServerSecret.find(settings.server.data_dir, settings.server.secret)
    return LedgerConfig(
        data_dir=str(settings.server.data_dir.resolve()),
        url=None if store is None else store.get_secret_value(),
        lock_timeout_s=settings.ledger.lock_timeout_s,
        allow_unsafe_filesystem=settings.ledger.allow_unsafe_filesystem,
        quarantine_bytes=settings.quarantine.max_bytes,
        quarantine_per_minute=settings.quarantine.max_per_minute,
        id_key=None if secret is None else secret.id_key,
    )


@contextlib.contextmanager
def open_for_reading(settings: Settings) -> Iterator[Ledger]:
    """Open an existing ledger for a command that reads it. Raises ConfigError if there never was one, LedgerUnavailable if it is gone."""
    path = settings.server.data_dir / LEDGER_FILE
    is_new = not path.exists() and not (settings.server.data_dir / ADMIN_KEY_FILE).exists()
    if settings.ledger.url is None and is_new:
        raise ConfigError(f"server.data_dir: there is no ledger at {path}; name it with --data-dir")
    with contextlib.closing(ledger_config(settings).open()) as ledger:
        yield ledger
