"""Where callbacks are kept: the ledger, and the inbox or the stream in front of it."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from answerback.config.section import Count, Days, Seconds, Section
from answerback.domain.retention import RetentionPolicy


class LedgerSettings(Section):
    """The database that calls and callbacks are recorded in."""

    url: SecretStr | None = Field(
        None, description="postgresql://user:password@host/database; by default SQLite in server.data_dir"
    )
    lock_timeout_s: Seconds = Field(2.0, description="time to wait for another process that has the file locked")
    allow_unsafe_filesystem: bool = Field(
        default=False, description="accept a file system that may lose committed data, for the ledger and for the inbox"
    )


class InboxSettings(Section):
    """The file that callbacks are appended to, and answered from, before they are recorded into the ledger."""

    dir: Path | None = Field(None, description="directory of inbox.db, on a local disk; by default server.data_dir")
    max_bytes: Annotated[int, Field(ge=1024 * 1024)] = Field(
        1024 * 1024 * 1024,
        description="maximum size of what waits to be recorded; beyond it the response is 503. "
        "The default holds some two million callbacks: an hour at 500/s while the ledger is away",
    )
    reserve_bytes: Annotated[int, Field(ge=0)] = Field(
        64 * 1024 * 1024,
        description="free space that the inbox leaves on its disk, so that the ledger can still record what waits; "
        "below it the response is 503",
    )
    keep_s: Seconds = Field(
        600.0,
        description="time for which recorded callbacks stay in the inbox, unless the space is needed: "
        "from there they are recorded again if the ledger lost them (a standby was promoted, a backup restored)",
    )

    @field_validator("dir", mode="before")
    @classmethod
    def _check_dir(cls, value: object) -> object:
        if value == "":
            raise ValueError("is empty: expected a directory")
        return value


class RetentionSettings(Section):
    """How many days data is kept; without a setting, forever. Everything that belongs to a call has the age of the call, from its first callback. Pending deliveries stay, and so do statistics."""

    calls_days: Days | None = Field(None, description="calls, with everything that belongs to them")
    callbacks_days: Days | None = Field(None, description="raw callbacks, with their deliveries")
    deliveries_days: Days | None = Field(
        None, description="finished deliveries (delivered or dead), with their attempts"
    )
    attempts_days: Days | None = Field(None, description="attempts, with what the endpoints answered")
    quarantine_days: Days | None = Field(None, description="quarantined bodies, from when they were received")
    audit_days: Days | None = Field(None, description="audit events")

    def policy(self) -> RetentionPolicy:
        """The same for the ledger."""
        return RetentionPolicy(**self.model_dump())


class StreamSettings(Section):
    """NATS JetStream in front of the ledger: a callback is answered once most replicas of a stream have it."""

    url: SecretStr | None = Field(
        None,
        description="nats://a:4222,nats://b:4222, all servers, or tls://user:password@a:4222; no stream by default",
    )
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = Field(
        "ANSWERBACK", description="prefix of the streams' names: NAME-1, NAME-2, ..."
    )
    shards: Annotated[int, Field(ge=1, le=64)] = Field(
        3, description="number of parallel streams, ideally one for each server; drain the streams before lowering it"
    )
    replicas: Annotated[int, Field(ge=1, le=5)] = Field(3, description="number of servers that store each callback")
    max_bytes: Count = Field(
        1024 * 1024 * 1024, description="maximum size of each stream; beyond it the response is 503"
    )
    allow_fewer_replicas: bool = Field(
        default=False,
        description="accept streams with fewer replicas, for trials: losing one disk then loses callbacks",
    )
    credentials: Path | None = Field(None, description="file with a NATS user's JWT and seed (.creds)")
    ca_file: Path | None = Field(
        None, description="PEM file with the certificate authorities to trust instead of the system's, for tls://"
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not all(map(_is_server, url.get_secret_value().split(","))):
            raise ValueError("expected nats://host:port or tls://host:port, several separated by commas")
        if (
            url is not None
            and len({each.strip().partition("://")[0] for each in url.get_secret_value().split(",")}) > 1
        ):
            raise ValueError("expected nats:// for all servers or tls:// for all, not a mix")
        return url

    @field_validator("ca_file")
    @classmethod
    def _check_ca_file(cls, ca_file: Path | None, info: ValidationInfo) -> Path | None:
        url = info.data.get("url")
        if ca_file is not None and url is not None and not url.get_secret_value().startswith("tls://"):
            raise ValueError("has no effect because stream.url does not use TLS: write tls:// in place of nats://")
        return ca_file

    def urls(self) -> tuple[str, ...]:
        """The servers' URLs; empty if there is no stream."""
        return () if self.url is None else tuple(each.strip() for each in self.url.get_secret_value().split(","))


def _is_server(url: str) -> bool:
    """Whether `url` is the URL of a NATS server."""
    try:
        parts = urlsplit(url.strip())
        return parts.scheme in ("nats", "tls") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
