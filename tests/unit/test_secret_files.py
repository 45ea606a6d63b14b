"""Secrets from files and from systemd's credentials."""

import re
from pathlib import Path
from typing import Any

import pytest

from answerback.config import load_settings
from answerback.errors import ConfigError

SECRET = "a-secret-of-thirty-two-characters"
TOKEN = "alerts-0123456789"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def secret_of(settings: Any, place: str) -> Any:
    """The secret at a place such as `channels.alerts.token`."""
    for name in place.split("."):
        settings = settings[name] if isinstance(settings, dict) else getattr(settings, name)
    return [one.get_secret_value() for one in settings] if isinstance(settings, tuple) else settings.get_secret_value()


@pytest.mark.parametrize(
    ("place", "text", "value"),
    [
        ("server.secret", SECRET + "\n", SECRET),
        ("server.admin_key", f"  {SECRET}\r\n", SECRET),
        ("ledger.url", "postgresql://a:b@db/answerback\n", "postgresql://a:b@db/answerback"),
        ("stream.url", "nats://a:b@n:4222\n", "nats://a:b@n:4222"),
        ("channels.alerts.token", TOKEN, TOKEN),
        ("alerts.notify", "wecombot://one\n\nwecombot://two\n", ["wecombot://one", "wecombot://two"]),
    ],
)
@pytest.mark.parametrize("way", ["variable", "credential"])
def test_a_file_holds_a_secret(
    place: str, text: str, value: object, way: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each secret setting can be in a file that a variable names, or in a credential with the variable's name."""
    variable = f"ANSWERBACK_{place.upper().replace('.', '__')}"
    credentials = directory / "credentials"
    credentials.mkdir()
    (credentials / "answerback.toml").write_text("")
    file = credentials / variable if way == "credential" else directory / "file"
    file.write_text(text)
    if way == "credential":
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    else:
        monkeypatch.setenv(f"{variable}_FILE", str(file))
    assert secret_of(load_settings(), place) == value


def test_an_endpoint_of_the_config_file_has_its_secret_elsewhere(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file names the endpoint, and a file of its own holds its secret."""
    (directory / "answerback.toml").write_text('[endpoints.crm]\nurl = "https://crm.example/hook"\n')
    (directory / "secret").write_text(WEBHOOK_SECRET)
    monkeypatch.setenv("ANSWERBACK_ENDPOINTS__CRM__SECRET_FILE", "secret")
    assert secret_of(load_settings(), "endpoints.crm.secret") == WEBHOOK_SECRET


def test_a_setting_that_ends_in_file_is_no_secret(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`stream.ca_file` is a path itself: it is not read here."""
    monkeypatch.setenv("ANSWERBACK_STREAM__CA_FILE", str(directory / "ca.pem"))
    assert load_settings().stream.ca_file == directory / "ca.pem"


def test_the_command_line_stands_over_a_file(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As over any variable."""
    (directory / "url").write_text("postgresql://file/db")
    monkeypatch.setenv("ANSWERBACK_LEDGER__URL_FILE", "url")
    settings = load_settings(overrides={"ledger": {"url": "postgresql://option/db"}})
    assert secret_of(settings, "ledger.url") == "postgresql://option/db"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe" + SECRET.encode(), "is not UTF-8 text"),
        (b"x" * 70_000, "is larger than 65536 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    content: bytes | None, reason: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error has the variable, the path and the reason, and nothing of what the file holds."""
    if content is not None:
        (directory / "file").write_bytes(content)
    monkeypatch.setenv("ANSWERBACK_SERVER__SECRET_FILE", "file")
    refused = _refused(f"ANSWERBACK_SERVER__SECRET_FILE: file: {reason}")
    assert SECRET not in repr(refused) + repr(refused.__cause__)


def test_a_directory_is_no_secret(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Docker leaves where a file to mount was missing."""
    (directory / "file").mkdir()
    monkeypatch.setenv("ANSWERBACK_SERVER__SECRET_FILE", "file")
    _refused("ANSWERBACK_SERVER__SECRET_FILE: file: Is a directory")


def test_a_secret_of_the_wrong_kind_is_not_shown(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused as it would be in the variable itself."""
    (directory / "file").write_text("too-short")
    monkeypatch.setenv("ANSWERBACK_SERVER__SECRET_FILE", "file")
    assert "too-short" not in str(_refused("server.secret: expected 32 characters or more"))


def test_a_secret_is_given_once(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variable, file and credential exclude each other."""
    (directory / "file").write_text(SECRET)
    monkeypatch.setenv("ANSWERBACK_SERVER__SECRET_FILE", "file")
    monkeypatch.setenv("ANSWERBACK_SERVER__SECRET", SECRET)
    twice = "the setting is given twice, ANSWERBACK_SERVER__SECRET has it as well"
    assert SECRET not in str(_refused(f"ANSWERBACK_SERVER__SECRET_FILE: {twice}"))
    (directory / "credentials").mkdir()
    (directory / "credentials/ANSWERBACK_SERVER__SECRET").write_text(SECRET)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "credentials")
    monkeypatch.delenv("ANSWERBACK_SERVER__SECRET_FILE")
    _refused(f"credential ANSWERBACK_SERVER__SECRET: {twice}")


@pytest.mark.parametrize("name", ["ANSWERBACK_SERVER__SECRTE", "ANSWERBACK_SERVER__PORT", "ANSWERBACK_SECRET"])
def test_a_credential_that_is_no_secret_setting_is_named(
    name: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt one must not be passed over."""
    (directory / name).write_text(SECRET)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    _refused(f"credential {name}: there is no secret setting of that name")


def test_the_file_of_what_is_no_secret_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Like any setting that does not exist."""
    monkeypatch.setenv("ANSWERBACK_SERVER__PORT_FILE", "file")
    _refused("server.port_file: there is no such setting")


def _refused(message: str) -> ConfigError:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}") as caught:
        load_settings()
    return caught.value
