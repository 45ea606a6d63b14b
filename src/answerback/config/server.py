"""The server, and what people look at."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from answerback.auth.server_secret import MIN_SECRET_LENGTH
from answerback.config.section import Network, Seconds, Section

"""The characters that a secret of the whole server has at least."""


def _split_commas(value: object) -> object:
    """Split a list as the command line and the environment write it: a,b,c."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class ServerRole(StrEnum):
    """A part of the gateway that may run in a process of its own."""

    INTAKE = "intake"
    RECORDER = "recorder"
    RELAY = "relay"
    API = "api"
    CONSOLE = "console"


class ServerSettings(Section):
    """The gateway's address, data directory, roles and secrets."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    data_dir: Path = Field(
        Path("answerback-data"), description="the data directory: ledger.db, inbox.db, admin-key, server-secret"
    )
    public_url: str | None = Field(
        None,
        description="URL of this server as seen from outside, with a proxy's path prefix; used in callback URLs and the console",
    )
    roles: Annotated[tuple[ServerRole, ...], NoDecode, BeforeValidator(_split_commas), Field(min_length=1)] = Field(
        tuple(ServerRole), description="roles of this process; all by default"
    )
    reader_timeout_s: Seconds = Field(
        30.0, description="how long a client may read nothing of a response before it is disconnected"
    )
    admin_key: SecretStr | None = Field(
        None,
        description="the admin key, the same in all processes of a cluster; by default generated in server.data_dir",
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (), description="networks of the reverse proxies whose X-Forwarded-For is trusted, such as 10.0.0.0/8"
    )
    secret: SecretStr | None = Field(
        None,
        description="key for ids and sessions, the same in all processes of a cluster; by default generated in "
        "server.data_dir",
    )

    @field_validator("admin_key", "secret")
    @classmethod
    def _check_length(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < MIN_SECRET_LENGTH:
            raise ValueError(f"expected {MIN_SECRET_LENGTH} characters or more, such as `openssl rand -hex 32` prints")
        return secret


class ApiSettings(Section):
    """The API."""

    read_wait_ms: Annotated[int, Field(ge=0, le=60_000)] = Field(
        250,
        description="how long a request of the API or the console, or a command that shows calls, waits for callbacks that were answered "
        "and are not recorded yet; after that the header Answerback-Recorder-Lag says by how many seconds it is behind",
    )


class ConsoleSettings(Section):
    """The web console."""

    timezone: str = Field(
        "Asia/Shanghai", description="time zone of the days and hours of statistics; the vendor bills by Beijing time"
    )
    session_hours: Annotated[int, Field(ge=1, le=720)] = Field(12, description="how long a sign-in lasts")

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"there is no time zone {timezone}: expected a name such as Asia/Shanghai or UTC"
            ) from error
        return timezone
