"""The emulator's settings, from a TOML file; without one there is an application ready to use."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from answerback.domain.arguments import require_http_url
from answerback.emulator.faults import FaultProfile
from answerback.emulator.limits import Limits
from answerback.emulator.outcomes import SCRIPT_ROWS, SHARES
from answerback.emulator.send_requests import Account, Application
from answerback.errors import ConfigError, describe_os_error

CALLBACK_URL = "http://127.0.0.1:8000/voice/callback"

DEFAULT_CREDENTIALS = {
    "app_id": "1400000001",
    "app_key": "5f03a35d00ee52a21327ab048186a2c4",
    "secret_id": "AKIDanswerbackEmulator00000000000000",
    "secret_key": "answerbackEmulator0000000000000",
}
"""The application and the keys of an emulator without settings; they are valid for an emulator only."""

TEMPLATES = {"1001": "告警：{1}，请尽快处理。", "1002": "您的验证码是{1}，{2}分钟内有效。"}


class ApplicationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A voice application, `[applications.<SDK AppID>]`."""

    app_key: str
    callback_url: str = CALLBACK_URL
    name: str = ""
    templates: dict[str, str] = msgspec.field(default_factory=TEMPLATES.copy)
    sensitive_words: list[str] = []
    call_from: str = ""
    balance: int | None = None
    disabled: bool = False
    in_arrears: bool = False


class EmulatorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. `secrets`: SecretId -> SecretKey; `shares`: how often a number without a known ending goes which way."""

    applications: dict[str, ApplicationSettings] = msgspec.field(
        default_factory=lambda: {
            DEFAULT_CREDENTIALS["app_id"]: ApplicationSettings(app_key=DEFAULT_CREDENTIALS["app_key"])
        }
    )
    secrets: dict[str, str] = msgspec.field(
        default_factory=lambda: {DEFAULT_CREDENTIALS["secret_id"]: DEFAULT_CREDENTIALS["secret_key"]}
    )
    shares: Mapping[str, float] = msgspec.field(default_factory=lambda: SHARES)
    faults: FaultProfile = FaultProfile()
    limits: Limits | None = None

    def account(self, callback_url: str | None = None) -> Account:
        """The account as the cloud keeps it; `callback_url` in place of those of the file. Raises ConfigError."""
        if callback_url is not None:
            require_http_url("--callback-url", callback_url)
        return Account(
            applications={
                app_id: Application(
                    app_id=app_id,
                    **msgspec.structs.asdict(one)
                    | ({"callback_url": callback_url} if callback_url is not None else {}),
                )
                for app_id, one in self.applications.items()
            },
            secrets=self.secrets,
        )


def load_settings(file: Path | None) -> EmulatorSettings:
    """The settings in `file`, or the ready ones. Raises ConfigError that names the field."""
    if file is None:
        return EmulatorSettings()
    try:
        settings = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), EmulatorSettings)
    except OSError as error:
        raise ConfigError(f"--config: {file}: {describe_os_error(error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{file}: {error}") from error
    if not settings.applications:
        raise ConfigError(f"{file}: applications: at least one is needed")
    for app_id, application in settings.applications.items():
        if not (app_id.isascii() and app_id.isdigit()):
            raise ConfigError(f"{file}: applications.{app_id}: an SDK AppID is a number")
        require_http_url(f"{file}: applications.{app_id}.callback_url", application.callback_url)
    known = {row.ending for row in SCRIPT_ROWS}
    if unknown := sorted(settings.shares.keys() - known):
        raise ConfigError(f"{file}: shares.{unknown[0]}: there is no such ending; see `answerback emulate --numbers`")
    if not settings.shares or min(settings.shares.values()) < 0 or not sum(settings.shares.values()):
        raise ConfigError(f"{file}: shares: numbers from 0 on, not all of them 0")
    return settings
