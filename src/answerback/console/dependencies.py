"""What the pages depend on: the ledger, the keys, the relay, and settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from answerback.alerts import AlertManager
from answerback.auth.api_keys import KeyVerifier
from answerback.auth.authenticator import Authenticator
from answerback.console.links import Links
from answerback.exports.process import ExportManager
from answerback.feed.activity_feed import ActivityFeed
from answerback.intake import BulkSubmitter
from answerback.ledger import Ledger
from answerback.ledger.client import LedgerClient
from answerback.recorder import InboxRecorder
from answerback.relay import Relay


@dataclass(frozen=True, kw_only=True)
class ConsoleDependencies:
    """Everything that the pages need. `callback_urls` hold the channels' secret tokens."""

    ledger: Ledger
    key_verifier: KeyVerifier
    authenticator: Authenticator
    log_failure: Callable[[], str | None]
    """Why no callback can be stored now."""
    recorder: InboxRecorder | None
    """None where there is a stream."""
    relay: Relay
    submitter: BulkSubmitter
    ledger_client: LedgerClient
    feed: ActivityFeed
    alerts: AlertManager
    exports: ExportManager
    certificates: tuple[str, ...]
    """The names of those in the config file."""
    documents: str
    """The address of the documents, or their place in the repository."""
    callback_urls: Mapping[str, str]
    zone: ZoneInfo
    session_hours: int
    session_key: bytes
    public_url: str | None
    data_dir: Path
    links: Links

    @property
    def is_https(self) -> bool:
        return self.public_url is not None and self.public_url.startswith("https:")

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(self.callback_urls)
