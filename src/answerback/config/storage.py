"""Where callbacks are kept: the ledger, and the stream in front of it."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from answerback.config.section import Count, Seconds, Section


class LedgerSettings(Section):
    """Where callbacks are stored, and how."""

    url: SecretStr | None = Field(
        None, description="postgresql://user:password@host/database; where not given, SQLite in server.data_dir"
    )
    lock_timeout_s: Seconds = Field(2.0, description="time to wait for another process that holds the file")
    allow_unsafe_filesystem: bool = Field(
        default=False, description="accept a file system that may lose what it was told to keep"
    )


class StreamSettings(Section):
    """NATS JetStream in front of the ledger: with it a callback is answered once most replicas of a stream have it."""

    url: SecretStr | None = Field(
        None, description="nats://a:4222,nats://b:4222, all servers; tls://user:password@a:4222; not given: no stream"
    )
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = Field(
        "ANSWERBACK", description="what the streams are called: NAME-1, NAME-2, ..."
    )
    shards: Annotated[int, Field(ge=1, le=64)] = Field(
        3, description="streams side by side, best as many as there are servers; never lower it before they are empty"
    )
    replicas: Annotated[int, Field(ge=1, le=5)] = Field(3, description="servers that keep each callback")
    max_bytes: Count = Field(
        1024 * 1024 * 1024, description="bytes that each stream is made for; past them callbacks are answered 503"
    )
    allow_fewer_replicas: bool = Field(
        default=False, description="accept streams with fewer replicas, for a trial: one lost disk then loses callbacks"
    )
    credentials: Path | None = Field(None, description="file with a NATS user's JWT and seed (.creds)")
    ca_file: Path | None = Field(None, description="PEM file with the authorities to trust instead, for tls://")

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not all(map(_is_server, url.get_secret_value().split(","))):
            raise ValueError("expected nats://host:port or tls://host:port, several with commas between")
        if (
            url is not None
            and len({each.strip().partition("://")[0] for each in url.get_secret_value().split(",")}) > 1
        ):
            raise ValueError("expected nats:// of all servers or tls:// of all, not of some")
        return url

    @field_validator("ca_file")
    @classmethod
    def _check_ca_file(cls, ca_file: Path | None, info: ValidationInfo) -> Path | None:
        url = info.data.get("url")
        if ca_file is not None and url is not None and not url.get_secret_value().startswith("tls://"):
            raise ValueError("would not be used: stream.url asks for no TLS: write tls:// in place of nats://")
        return ca_file

    def urls(self) -> tuple[str, ...]:
        """The servers; none where there is no stream."""
        return () if self.url is None else tuple(each.strip() for each in self.url.get_secret_value().split(","))


def _is_server(url: str) -> bool:
    """Whether it is the URL of a NATS server."""
    try:
        parts = urlsplit(url.strip())
        return parts.scheme in ("nats", "tls") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
