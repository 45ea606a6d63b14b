"""Every setting, read once at the start and frozen.

Read from, the first that has it: the command line, `ANSWERBACK_<SECTION>__<NAME>`, the TOML file. The descriptions
here are what `answerback config show` and docs/configuration.md show.
"""

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from answerback.domain.alert_rules import METRICS, Rule
from answerback.domain.models import CallbackKind, EndpointConfig, Outcome, PayloadFormat
from answerback.errors import ConfigError

PREFIX = "ANSWERBACK_"
DEFAULT_FILE = Path("answerback.toml")
DEFAULT_CHANNEL = "default"

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")
MIN_SECRET_LENGTH = 32
"""The characters that a secret of the whole server has at least."""
_CHANNEL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

Count = Annotated[int, Field(ge=1)]
Network = Annotated[
    IPv4Network | IPv6Network,
    PlainValidator(lambda network: ip_network(str(network))),
    PlainSerializer(str),
    WithJsonSchema({"type": "string"}),
]
Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]


def _split_commas(value: object) -> object:
    """A list as the command line and the environment spell it: a,b,c."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, hide_input_in_errors=True)


class ServerRole(StrEnum):
    """A part of the gateway that a process may do without the others."""

    INTAKE = "intake"
    RECORDER = "recorder"
    RELAY = "relay"
    API = "api"
    CONSOLE = "console"


class ServerSettings(_Section):
    """Where the gateway listens and where it keeps its data."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    data_dir: Path = Field(
        Path("answerback-data"), description="directory of all that is kept: ledger.db, admin-key, server-secret"
    )
    public_url: str | None = Field(
        None,
        description="how the outside reaches this server, with the path that a proxy puts in front; for callback URLs and the console",
    )
    roles: Annotated[tuple[ServerRole, ...], NoDecode, BeforeValidator(_split_commas), Field(min_length=1)] = Field(
        tuple(ServerRole), description="what this process does; by default all of it"
    )
    reader_timeout_s: Seconds = Field(
        30.0, description="time in which a reader has to take something of what is sent to it; past it, it is cut off"
    )
    admin_key: SecretStr | None = Field(
        None, description="the admin key of all processes of a cluster; where not given, one is made in server.data_dir"
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (), description="networks of the reverse proxies whose X-Forwarded-For tells who tries a key, as 10.0.0.0/8"
    )
    secret: SecretStr | None = Field(
        None,
        description="what ids and sessions are keyed by, the same in all processes of a cluster; where not given, it is made "
        "in server.data_dir",
    )

    @field_validator("admin_key", "secret")
    @classmethod
    def _check_length(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < MIN_SECRET_LENGTH:
            raise ValueError(f"expected {MIN_SECRET_LENGTH} characters or more, such as `openssl rand -hex 32` prints")
        return secret


class IntakeSettings(_Section):
    """How callbacks are received."""

    max_pending: Count = Field(
        10_000, description="callbacks that may wait for their commit; past it the answer is 503"
    )
    max_batch: Count = Field(512, description="callbacks in one commit")
    max_body_bytes: Annotated[int, Field(ge=1, le=64 * 1024 * 1024)] = Field(
        65_536, description="largest body of a callback; a larger one is answered 413"
    )
    request_timeout_s: Seconds = Field(10.0, description="time for a request to arrive in full")
    commit_timeout_s: Seconds = Field(5.0, description="time for a commit; past it the answer is 503")
    keep_alive_s: Annotated[int, Field(ge=1)] = Field(75, description="time an idle connection is kept open")
    shutdown_timeout_s: Annotated[int, Field(ge=1, le=60)] = Field(3, description="time to finish requests at shutdown")


class LedgerSettings(_Section):
    """Where callbacks are stored, and how."""

    url: SecretStr | None = Field(
        None, description="postgresql://user:password@host/database; where not given, SQLite in server.data_dir"
    )
    lock_timeout_s: Seconds = Field(2.0, description="time to wait for another process that holds the file")
    allow_unsafe_filesystem: bool = Field(
        default=False, description="accept a file system that may lose what it was told to keep"
    )


class StreamSettings(_Section):
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


class QuarantineSettings(_Section):
    """How many bodies that could not be understood are kept; the oldest stay, what is dropped is counted."""

    max_bytes: Count = Field(64 * 1024 * 1024, description="bytes of refused bodies to keep")
    max_per_minute: Count = Field(6_000, description="refused bodies to keep per minute")


class RelaySettings(_Section):
    """How the business is told."""

    retry_schedule_s: Annotated[tuple[Seconds, ...], Field(max_length=100)] = Field(
        (5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200),
        description="pauses before the second attempt, the third, and so on; after the last a delivery is dead",
    )
    jitter: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.2, description="share by which a pause is longer or shorter, by chance"
    )
    breaker_threshold: Count = Field(10, description="failures in a row after which an endpoint is paused")
    breaker_cooldowns_s: Annotated[tuple[Seconds, ...], Field(min_length=1)] = Field(
        (5, 15, 30, 60), description="pauses between the probes of a paused endpoint; the last comes again and again"
    )
    max_in_flight: Count = Field(4_096, description="attempts under way at a time, for all endpoints together")
    allowed_networks: tuple[Network, ...] = Field(
        (), description="private networks that endpoints made through the API may be in, as 10.0.0.0/8"
    )

    shutdown_timeout_s: Annotated[float, Field(ge=0, le=60)] = Field(
        3.0, description="time for attempts under way to end at shutdown"
    )


class ConsoleSettings(_Section):
    """What people look at."""

    timezone: str = Field(
        "Asia/Shanghai", description="whose days and hours statistics go by; the vendor bills by those of Beijing"
    )
    session_hours: Annotated[int, Field(ge=1, le=720)] = Field(12, description="time until one has to sign in again")

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


class CertificateSettings(_Section):
    """PEM files, regular ones, that endpoints name. A file that is renewed is read again within a minute."""

    ca_file: Path | None = Field(None, description="the authorities to trust in place of the system's")
    client_cert: Path | None = Field(None, description="the certificate that we show, for mutual TLS")
    client_key: Path | None = Field(
        None, description="its key, not encrypted; not needed where client_cert holds it as well"
    )

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        if self.ca_file is None and self.client_cert is None:
            raise ValueError("needs ca_file, client_cert or both")
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key is given without client_cert")
        return self


class EndpointSettings(_Section):
    """A business URL that is told of a channel's calls."""

    url: str = Field(description="http:// or https:// address to POST to", max_length=2048)
    channel: str = Field(DEFAULT_CHANNEL, description="the channel whose calls it is told of")
    format: PayloadFormat = Field(
        PayloadFormat.STANDARD,
        description="tencent: the cloud's own callbacks; standard: signed webhooks with the whole call",
    )
    enabled: bool = Field(default=True, description="off: what it is owed waits")
    kinds: tuple[CallbackKind, ...] = Field((), description="only callbacks of these kinds; none named: of all")
    outcomes: tuple[Outcome, ...] = Field((), description="only of calls with these outcomes; none named: with any")
    notify_on_update: bool = Field(
        default=False, description="tell it again when the reference or the metadata of a call it knows changes"
    )
    timeout_s: Annotated[float, Field(gt=0, le=300)] = Field(10.0, description="time for one attempt")
    concurrency: Annotated[int, Field(ge=1, le=1024)] = Field(8, description="most attempts at a time")
    secret: SecretStr | None = Field(
        None, description="whsec_ and 24 to 64 bytes in base64; made by itself where it is not given"
    )
    certificate: str | None = Field(
        None,
        description="the name of a certificate of this file, for servers of your own authority, and for mutual TLS",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError as error:
            raise ValueError(f"not a URL: {error}") from error
        if not known or not url.isprintable() or " " in url:
            raise ValueError("expected http://host/path or https://host/path")
        if "@" in parts.netloc:
            raise ValueError("holds a user name: an endpoint knows us by the signature, or by a client certificate")
        if parts.fragment:
            raise ValueError("holds a fragment (#), which is never sent")
        return url

    def endpoint_config(self) -> EndpointConfig:
        """The endpoint as the relay knows it."""
        return EndpointConfig(**{name: getattr(self, name) for name in EndpointConfig.__struct_fields__})


class AlertsSettings(_Section):
    """Who is told when something is wrong, and how often it is looked at."""

    notify: Annotated[tuple[SecretStr, ...], Field(max_length=50)] = Field(
        (), description="Apprise URLs of those who are told, as wecombot://KEY"
    )
    evaluation_interval_s: Annotated[float, Field(ge=0.1, le=3600)] = Field(30.0, description="pause between two looks")
    rules: dict[str, Rule] = Field(default_factory=dict, description="what they are told of, by name")


class TracingSettings(_Section):
    """Traces of OpenTelemetry: one for each callback, from its reception to its deliveries."""

    endpoint: str | None = Field(
        None,
        description="the collector's OTLP/HTTP address, as http://127.0.0.1:4318; not given: no traces",
        max_length=2048,
    )
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = Field(1.0, description="share of the callbacks that are traced")

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, endpoint: str | None) -> str | None:
        if endpoint is None:
            return None
        try:
            parts = urlsplit(endpoint)
            known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError as error:
            raise ValueError(f"not a URL: {error}") from error
        if not known or not endpoint.isprintable() or " " in endpoint:
            raise ValueError("expected http://host:4318 or https://host:4318")
        if "@" in parts.netloc:
            raise ValueError("holds a user name: give credentials in OTEL_EXPORTER_OTLP_HEADERS")
        return endpoint

    def url(self) -> str | None:
        """Where spans are POSTed to: the address itself where it has a path, else with that of the protocol."""
        if self.endpoint is None or urlsplit(self.endpoint).path.strip("/"):
            return self.endpoint
        return f"{self.endpoint.rstrip('/')}/v1/traces"


class LogSettings(_Section):
    """What is logged, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severity to log")
    format: Literal["text", "json"] = Field("text", description="text for people, json for machines")


class ChannelSettings(_Section):
    """One voice application of the cloud's."""

    token: SecretStr | None = Field(None, description="secret last part of the callback URL, 16 characters or more")
    sdkappid: str | None = Field(None, description="the application's SDK AppID, for your own orientation")


class Settings(BaseSettings):
    """All sections."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__", hide_input_in_errors=True
    )

    server: ServerSettings = ServerSettings()
    intake: IntakeSettings = IntakeSettings()
    ledger: LedgerSettings = LedgerSettings()
    stream: StreamSettings = StreamSettings()
    quarantine: QuarantineSettings = QuarantineSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    relay: RelaySettings = RelaySettings()
    console: ConsoleSettings = ConsoleSettings()
    alerts: AlertsSettings = AlertsSettings()
    channels: dict[str, ChannelSettings] = Field(default_factory=dict, description="the voice applications, by name")
    certificates: dict[str, CertificateSettings] = Field(
        default_factory=dict, description="certificates for endpoints, by name"
    )
    endpoints: dict[str, EndpointSettings] = Field(default_factory=dict, description="who is told, by name")

    @model_validator(mode="after")
    def _check_roles(self) -> "Settings":
        roles = set(self.server.roles)
        if self.stream.url is None and (ServerRole.INTAKE in roles) != (ServerRole.RECORDER in roles):
            raise ValueError("server.roles: intake and recorder go together where stream.url is not set")
        return self

    @model_validator(mode="after")
    def _check_channels(self) -> "Settings":
        holders: dict[str, str] = {}
        for name, channel in self.channels.items():
            if not _CHANNEL_NAME.fullmatch(name):
                raise ValueError(f"channels.{name}: a name is small letters, digits, - and _")
            if channel.token is None:
                if name != DEFAULT_CHANNEL:
                    raise ValueError(f"channels.{name}.token: required, only {DEFAULT_CHANNEL} may go without")
                continue
            token = channel.token.get_secret_value()
            if not _TOKEN.fullmatch(token):
                raise ValueError(f"channels.{name}.token: expected 16 to 128 letters, digits, - or _")
            if token in holders:
                raise ValueError(f"channels.{name}.token: the same as that of {holders[token]}")
            holders[token] = name
        return self

    @model_validator(mode="after")
    def _check_certificates(self) -> "Settings":
        for name in self.certificates:
            if not _CHANNEL_NAME.fullmatch(name):
                raise ValueError(f"certificates.{name}: a name is small letters, digits, - and _")
        return self

    @model_validator(mode="after")
    def _check_endpoints(self) -> "Settings":
        channels = self.tokens().keys()
        for name, endpoint in self.endpoints.items():
            if problem := validate_endpoint_name(name):
                raise ValueError(f"endpoints.{name}: {problem}")
            if endpoint.channel not in channels:
                raise ValueError(f"endpoints.{name}.channel: there is no channel {endpoint.channel}")
            if endpoint.certificate is not None and endpoint.certificate not in self.certificates:
                raise ValueError(f"endpoints.{name}.certificate: there is no certificate {endpoint.certificate}")
        return self

    @model_validator(mode="after")
    def _check_rules(self) -> "Settings":
        channels = self.tokens().keys()
        for name, rule in self.alerts.rules.items():
            if not _CHANNEL_NAME.fullmatch(name):
                raise ValueError(f"alerts.rules.{name}: a name is small letters, digits, - and _")
            if rule.channel is not None and rule.channel not in channels:
                raise ValueError(f"alerts.rules.{name}.channel: there is no channel {rule.channel}")
        return self

    def tokens(self) -> dict[str, str | None]:
        """Channel name -> its URL token; `default` is always there, open where it has none."""
        named = {
            name: channel.token.get_secret_value() if channel.token else None for name, channel in self.channels.items()
        }
        return {DEFAULT_CHANNEL: None} | named


def _is_server(url: str) -> bool:
    """Whether it is the URL of a NATS server."""
    try:
        parts = urlsplit(url.strip())
        return parts.scheme in ("nats", "tls") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def validate_endpoint_name(name: str) -> str | None:
    """What is wrong with the name of an endpoint, or None; digits alone are an id."""
    if _CHANNEL_NAME.fullmatch(name) and not name.isdigit():
        return None
    return "a name is up to 64 small letters, digits, - and _, and not digits alone"


def format_value(value: object) -> str:
    """A setting's value as the config file has it; empty where it has none."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case tuple():
            return f"[{', '.join(map(format_value, value))}]"
        case dict():
            return ", ".join(value)
        case _:
            return f'"{value}"'


def load_settings(file: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings from `overrides`, the environment and `file` (by default answerback.toml, if it is there).

    Raises ConfigError that names the setting.
    """
    if file is not None and not file.is_file():
        raise ConfigError(f"--config: there is no file {file}")
    _refuse_unknown_sections()

    class _LayeredSettings(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic passes it by name
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic passes it by name
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file or DEFAULT_FILE)

    try:
        return _LayeredSettings(**(overrides or {}))
    except ValidationError as error:
        raise ConfigError("; ".join(_format_problem(problem) for problem in error.errors())) from error
    except SettingsError as error:  # JSON in a variable that is none
        raise ConfigError(f"environment: {error}") from error
    except ValueError as error:  # TOML that is none
        raise ConfigError(f"{file or DEFAULT_FILE}: {error}") from error


def _format_problem(problem: Any) -> str:
    place = list(problem["loc"])
    if place[:2] == ["alerts", "rules"]:
        del place[3:4]  # what the rule is about, which pydantic puts between its name and the field
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"].startswith("union_tag"):
        place.append("metric")
        message = f"expected one of {', '.join(METRICS)}"
    setting = ".".join(str(part) for part in place)
    if problem["type"] == "extra_forbidden":
        message = "there is no such setting"
    return f"{setting}: {message}" if setting else message


def _refuse_unknown_sections() -> None:
    for variable in os.environ:
        section, nested, _ = variable.removeprefix(PREFIX).partition("__")
        if variable.startswith(PREFIX) and nested and section.lower() not in Settings.model_fields:
            raise ConfigError(f"{variable}: there is no section {section.lower()}")
