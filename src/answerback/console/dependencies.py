"""What the console is given to show: the readers of the ledger, the keys, the relay, and a few facts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from answerback.alerts import Alerts
from answerback.auth.api_keys import Keyring
from answerback.auth.authenticator import Authenticator
from answerback.console.links import Links
from answerback.exports.process import Exports
from answerback.intake import Committer, Submission
from answerback.ledger import Ledger
from answerback.ledger.client import LedgerClient
from answerback.relay import Relay


@dataclass(frozen=True, kw_only=True)
class Given:
    """Everything that the pages need. `callback_urls` hold the channels' secret tokens."""

    ledger: Ledger
    keyring: Keyring
    authenticator: Authenticator
    committer: Committer
    relay: Relay
    submission: Submission
    writer: LedgerClient
    alerts: Alerts
    exports: Exports
    certificates: tuple[str, ...]
    """The names of those in the config file."""
    callback_urls: Mapping[str, str]
    zone: ZoneInfo
    session_hours: int
    session_key: bytes
    public_url: str | None
    data_dir: Path
    links: Links
    farewells: list[Callable[[], None]] = field(default_factory=list)
    """What pages want done when the gateway begins to stop: answers that go on are to end then."""

    @property
    def is_https(self) -> bool:
        """Whether browsers come by https."""
        return self.public_url is not None and self.public_url.startswith("https:")

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels' names."""
        return tuple(self.callback_urls)
