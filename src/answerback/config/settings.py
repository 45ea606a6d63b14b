"""All settings: how the sections fit together, and where they are read from."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from answerback.config.delivery import CertificateSettings, EndpointSettings, RelaySettings
from answerback.config.intake import ChannelSettings, IntakeSettings, QuarantineSettings
from answerback.config.monitoring import AlertsSettings, LogSettings, TracingSettings
from answerback.config.secret_files import with_secret_files
from answerback.config.section import RELOADABLE
from answerback.config.server import ApiSettings, ConsoleSettings, ServerRole, ServerSettings
from answerback.config.storage import InboxSettings, LedgerSettings, RetentionSettings, StreamSettings
from answerback.domain.alert_rules import METRICS
from answerback.domain.channels import NAME_PATTERN, check_channels
from answerback.domain.endpoints import validate_endpoint_name
from answerback.domain.models import DEFAULT_CHANNEL
from answerback.errors import ConfigError

PREFIX = "ANSWERBACK_"
DEFAULT_FILE = Path("answerback.toml")


class Settings(BaseSettings):
    """All sections."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__", hide_input_in_errors=True
    )

    server: ServerSettings = ServerSettings()
    intake: IntakeSettings = IntakeSettings()
    inbox: InboxSettings = InboxSettings()
    ledger: LedgerSettings = LedgerSettings()
    stream: StreamSettings = StreamSettings()
    quarantine: QuarantineSettings = Field(QuarantineSettings(), json_schema_extra=RELOADABLE)
    retention: RetentionSettings = Field(RetentionSettings(), json_schema_extra=RELOADABLE)
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    relay: RelaySettings = RelaySettings()
    api: ApiSettings = Field(ApiSettings(), json_schema_extra=RELOADABLE)
    console: ConsoleSettings = Field(ConsoleSettings(), json_schema_extra=RELOADABLE)
    alerts: AlertsSettings = Field(AlertsSettings(), json_schema_extra=RELOADABLE)
    channels: dict[str, ChannelSettings] = Field(
        default_factory=dict, description="channels, by name", json_schema_extra=RELOADABLE
    )
    certificates: dict[str, CertificateSettings] = Field(
        default_factory=dict, description="certificates, by name", json_schema_extra=RELOADABLE
    )
    endpoints: dict[str, EndpointSettings] = Field(
        default_factory=dict, description="endpoints, by name", json_schema_extra=RELOADABLE
    )

    @model_validator(mode="after")
    def _check_roles(self) -> "Settings":
        roles = set(self.server.roles)
        if self.stream.url is None and (ServerRole.INTAKE in roles) != (ServerRole.RECORDER in roles):
            raise ValueError("server.roles: intake and recorder go together where stream.url is not set")
        return self

    @model_validator(mode="after")
    def _check_channels(self) -> "Settings":
        check_channels(
            {
                name: channel.token.get_secret_value() if channel.token else None
                for name, channel in self.channels.items()
            }
        )
        return self

    @model_validator(mode="after")
    def _check_certificates(self) -> "Settings":
        for name in self.certificates:
            if not NAME_PATTERN.fullmatch(name):
                raise ValueError(f"certificates.{name}: a name is lowercase letters, digits, - and _")
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
            if not NAME_PATTERN.fullmatch(name):
                raise ValueError(f"alerts.rules.{name}: a name is lowercase letters, digits, - and _")
            if rule.channel is not None and rule.channel not in channels:
                raise ValueError(f"alerts.rules.{name}.channel: there is no channel {rule.channel}")
        return self

    def tokens(self) -> dict[str, str | None]:
        """Channel name -> its URL token; `default` is always there, open where it has none."""
        named = {
            name: channel.token.get_secret_value() if channel.token else None for name, channel in self.channels.items()
        }
        return {DEFAULT_CHANNEL: None} | named


def format_value(value: object) -> str:
    """Format a setting's value as in the config file; empty if it has none."""
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
    """Read the settings from `overrides`, the environment with its secret files, and `file` (by default answerback.toml, if it is there).

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
            assert isinstance(env_settings, EnvSettingsSource)  # noqa: S101  # declared as its base
            env_settings.env_vars = with_secret_files(Settings, PREFIX, env_settings.env_vars)
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
