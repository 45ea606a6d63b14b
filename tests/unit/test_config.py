import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from answerback.config import ChannelSettings, Settings, load_settings
from answerback.config.storage import RetentionSettings
from answerback.errors import ConfigError

TOKEN = "alerts-0123456789"
OTHER = "codes--0123456789"
_RETAINED = ("calls", "callbacks", "deliveries", "attempts", "quarantine", "audit")


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(file: Path, text: str) -> Path:
    """A file with `text` in it."""
    file.write_text(text)
    return file


def refused(match: str, file: Path | None = None, **overrides: Any) -> ConfigError:
    """The error that reading the settings raises."""
    with pytest.raises(ConfigError, match=match) as caught:
        load_settings(file, overrides)
    return caught.value


def test_without_anything_the_defaults_hold() -> None:
    """No file, no environment: the documented defaults."""
    settings = load_settings()
    assert (settings.server.host, settings.server.port, settings.server.data_dir) == (
        "127.0.0.1",
        8000,
        Path("answerback-data"),
    )
    assert (settings.intake.max_body_bytes, settings.ledger.allow_unsafe_filesystem) == (65_536, False)
    assert settings.tokens() == {"default": None}


def test_each_source_gives_what_the_one_before_leaves_open(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Overrides stand over the environment, the environment over the file, setting by setting."""
    write(
        directory / "answerback.toml",
        '[server]\nhost = "file"\nport = 1\npublic_url = "http://file"\n[log]\nlevel = "debug"\n',
    )
    monkeypatch.setenv("ANSWERBACK_SERVER__HOST", "environment")
    monkeypatch.setenv("ANSWERBACK_SERVER__PORT", "2")
    settings = load_settings(overrides={"server": {"port": 3}})
    assert (settings.server.host, settings.server.port, settings.server.public_url) == ("environment", 3, "http://file")
    assert settings.log.level == "debug"


def test_the_named_file_is_read_instead_of_the_default(directory: Path) -> None:
    """`--config` names the one file that counts."""
    write(directory / "answerback.toml", "[server]\nport = 1\n[log]\nlevel = 'debug'\n")
    settings = load_settings(write(directory / "other.toml", "[server]\nport = 2\n"))
    assert (settings.server.port, settings.log.level) == (2, "info")


def test_a_named_file_must_be_there(directory: Path) -> None:
    """A file that is not there is named."""
    refused("^--config: there is no file .*missing.toml$", directory / "missing.toml")


@pytest.mark.parametrize(
    ("variable", "section", "setting", "value", "read"),
    [
        ("ANSWERBACK_SERVER__DATA_DIR", "server", "data_dir", "/srv/calls", Path("/srv/calls")),
        ("ANSWERBACK_INTAKE__MAX_PENDING", "intake", "max_pending", "7", 7),
        ("ANSWERBACK_INTAKE__COMMIT_TIMEOUT_S", "intake", "commit_timeout_s", "0.5", 0.5),
        ("ANSWERBACK_INBOX__MAX_BYTES", "inbox", "max_bytes", "1048576", 1_048_576),
        ("ANSWERBACK_LEDGER__ALLOW_UNSAFE_FILESYSTEM", "ledger", "allow_unsafe_filesystem", "true", True),
        ("ANSWERBACK_QUARANTINE__MAX_BYTES", "quarantine", "max_bytes", "1", 1),
        ("ANSWERBACK_LOG__FORMAT", "log", "format", "json", "json"),
    ],
)
def test_a_setting_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str, section: str, setting: str, value: str, read: object
) -> None:
    """Each section can be set by ANSWERBACK_<SECTION>__<NAME>."""
    monkeypatch.setenv(variable, value)
    assert getattr(getattr(load_settings(), section), setting) == read


def test_every_setting_can_be_set_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no setting, in any section, that the environment does not reach."""
    defaults = Settings().model_dump(exclude={"channels", "endpoints"})
    unset = {
        ("server", "public_url"): "http://x",
        ("server", "admin_key"): "k" * 32,
        ("server", "secret"): "s" * 32,
        ("inbox", "dir"): "/srv/inbox",
        **{("retention", name): "30.5" for name in RetentionSettings.model_fields},
        ("ledger", "url"): "postgresql://db/x",
        ("stream", "url"): "tls://a:4222",
        ("stream", "credentials"): "/etc/answerback/user.creds",
        ("stream", "ca_file"): "/etc/answerback/ca.pem",
        ("tracing", "endpoint"): "http://collector:4318",
        ("relay", "proxy"): "http://proxy:3128",
        **{("retention", f"{table}_days"): "30.0" for table in _RETAINED},
    }
    assert {(section, name) for section, values in defaults.items() for name in values if values[name] is None} == {
        *unset
    }
    for section, values in defaults.items():
        for name, value in values.items():
            monkeypatch.setenv(
                f"ANSWERBACK_{section.upper()}__{name.upper()}", unset.get((section, name)) or _spelled(name, value)
            )
    settings = load_settings().model_dump(exclude={"channels", "endpoints"})
    for (section, name), given in unset.items():
        read = settings[section].pop(name)
        assert given == (read.get_secret_value() if isinstance(read, SecretStr) else str(read))
        del defaults[section][name]
    assert settings == defaults


def _spelled(name: str, value: object) -> str:
    """A default as the environment has it: JSON, and a list of words with commas."""
    if name == "roles":
        assert isinstance(value, tuple)
        return ",".join(value)
    return json.dumps(value) if isinstance(value, tuple) else str(value)


def test_channels_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel can be made of two variables alone; its AppID may look like a number."""
    monkeypatch.setenv("ANSWERBACK_CHANNELS__ALERTS__TOKEN", TOKEN)
    monkeypatch.setenv("ANSWERBACK_CHANNELS__ALERTS__SDKAPPID", "1400000001")
    settings = load_settings()
    assert settings.tokens() == {"default": None, "alerts": TOKEN}
    assert settings.channels["alerts"].sdkappid == "1400000001"


def test_channels_of_file_and_environment_add_up(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret may come from the environment while the file names the rest."""
    write(
        directory / "answerback.toml",
        f'[channels.codes]\ntoken = "{OTHER}"\n[channels.alerts]\nsdkappid = "1400000001"\n',
    )
    monkeypatch.setenv("ANSWERBACK_CHANNELS__ALERTS__TOKEN", TOKEN)
    settings = load_settings()
    assert settings.tokens() == {"default": None, "codes": OTHER, "alerts": TOKEN}
    assert settings.channels["alerts"].sdkappid == "1400000001"


def test_an_appid_may_be_written_as_a_number(directory: Path) -> None:
    """An SDK AppID is digits: in the file it may go without quotes."""
    write(directory / "answerback.toml", "[channels.default]\nsdkappid = 1400000001\n")
    assert load_settings().channels["default"].sdkappid == "1400000001"


def test_the_default_channel_may_have_a_token() -> None:
    """With a token of its own, `default` is not open."""
    assert load_settings(overrides={"channels": {"default": {"token": TOKEN}}}).tokens() == {"default": TOKEN}
    assert load_settings(overrides={"channels": {"default": {}}}).tokens() == {"default": None}


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        ({"server": {"port": 65536}}, r"^server\.port: "),
        ({"server": {"port": "eighty"}}, r"^server\.port: "),
        ({"server": {"prot": 1}}, r"^server\.prot: there is no such setting$"),
        ({"servers": {"port": 1}}, r"^servers: there is no such setting$"),
        ({"intake": {"max_pending": 0}}, r"^intake\.max_pending: "),
        ({"intake": {"max_batch": -1}}, r"^intake\.max_batch: "),
        ({"intake": {"request_timeout_s": 0}}, r"^intake\.request_timeout_s: "),
        ({"intake": {"shutdown_timeout_s": 61}}, r"^intake\.shutdown_timeout_s: "),
        ({"ledger": {"lock_timeout_s": 0}}, r"^ledger\.lock_timeout_s: "),
        ({"quarantine": {"max_bytes": 0}}, r"^quarantine\.max_bytes: "),
        ({"quarantine": {"max_per_minute": 0}}, r"^quarantine\.max_per_minute: "),
        ({"log": {"level": "loud"}}, r"^log\.level: "),
        ({"log": {"format": "xml"}}, r"^log\.format: "),
        ({"log": 5}, r"^log: "),
        ({"channels": {"Alerts": {"token": TOKEN}}}, r"^channels\.Alerts: a name is lowercase letters"),
        ({"channels": {"-x": {"token": TOKEN}}}, r"^channels\.-x: a name is lowercase letters"),
        ({"channels": {"a" * 65: {"token": TOKEN}}}, r"^channels\.a{65}: a name is lowercase letters"),
        ({"channels": {"": {"token": TOKEN}}}, r"^channels\.: a name is lowercase letters"),
        ({"channels": {"alerts": {}}}, r"^channels\.alerts\.token: required for every channel but default"),
        ({"channels": {"alerts": {"token": "short"}}}, r"^channels\.alerts\.token: expected 16 to 128"),
        ({"channels": {"alerts": {"token": "x" * 129}}}, r"^channels\.alerts\.token: expected 16 to 128"),
        ({"channels": {"alerts": {"token": "sixteen/letters."}}}, r"^channels\.alerts\.token: expected 16 to 128"),
        ({"channels": {"alerts": {"token": f"{TOKEN}\n"}}}, r"^channels\.alerts\.token: expected 16 to 128"),
        ({"channels": {"alerts": {"secret": TOKEN}}}, r"^channels\.alerts\.secret: there is no such setting$"),
        (
            {"channels": {"alerts": {"token": TOKEN}, "codes": {"token": TOKEN}}},
            r"^channels\.codes\.token: the same as that of alerts$",
        ),
    ],
)
def test_an_invalid_setting_is_named(overrides: dict[str, Any], match: str) -> None:
    """The error begins with the setting's name, as it stands in the file."""
    refused(match, **overrides)


def test_all_invalid_settings_are_named_at_once() -> None:
    """One start tells of every mistake."""
    refused(r"server\.port: .*; log\.level: ", server={"port": -1}, log={"level": "loud"})


def test_an_invalid_setting_of_the_file_is_named(directory: Path) -> None:
    """A mistake in the file is reported by the same name."""
    refused(r"^server\.prot: there is no such setting$", write(directory / "a.toml", "[server]\nprot = 1\n"))
    refused(r"^sever: there is no such setting$", write(directory / "b.toml", "[sever]\nport = 1\n"))


def test_a_file_that_is_no_toml_is_named(directory: Path) -> None:
    """The file is named, and where in it the mistake is."""
    refused(r"broken\.toml: .*line 1", write(directory / "broken.toml", "[server\n"))


def test_an_invalid_setting_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in the environment is reported by the setting's name."""
    monkeypatch.setenv("ANSWERBACK_SERVER__PORT", "eighty")
    refused(r"^server\.port: ")


def test_an_unknown_setting_of_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable never goes unnoticed."""
    monkeypatch.setenv("ANSWERBACK_SERVER__PROT", "1")
    refused(r"^server\.prot: there is no such setting$")


def test_an_unknown_section_of_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt section never goes unnoticed either."""
    monkeypatch.setenv("ANSWERBACK_SEVER__PORT", "1")
    refused(r"^ANSWERBACK_SEVER__PORT: there is no section sever$")


def test_a_variable_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole section as JSON, malformed: the variable is at fault, not the file."""
    monkeypatch.setenv("ANSWERBACK_CHANNELS", "{broken")
    error = refused("channels")
    assert "answerback.toml" not in str(error)


def test_variables_of_others_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only our prefix is looked at."""
    monkeypatch.setenv("SERVER__PORT", "1")
    monkeypatch.setenv("ANSWERBACKX_SERVER__PORT", "1")
    assert load_settings().server.port == 8000


def test_settings_are_frozen() -> None:
    """Nobody changes a setting while the gateway runs."""
    settings = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.server.port = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.server = settings.server  # type: ignore[misc]


def test_no_secret_is_shown() -> None:
    """Neither the settings' text nor their JSON holds a token."""
    settings = load_settings(overrides={"channels": {"alerts": {"token": TOKEN}}})
    shown = (repr(settings), str(settings), settings.model_dump_json(), repr(settings.channels["alerts"]))
    assert [text for text in shown if TOKEN in text] == []
    assert settings.channels["alerts"] == ChannelSettings(token=SecretStr(TOKEN))


@pytest.mark.parametrize(
    "channels",
    [
        {"alerts": {"token": "secret"}},
        {"alerts": {"token": "secret but invalid to be a token"}},
        {"Alerts": {"token": "secret-0123456789"}},
        {"alerts": {"token": ["secret-0123456789"]}},
        {"alerts": "secret-0123456789"},
        {"alerts": {"token": "secret-0123456789"}, "codes": {"token": "secret-0123456789"}},
    ],
)
def test_no_error_shows_a_secret(channels: dict[str, object]) -> None:
    """A refused token is described and never repeated, in the cause neither."""
    error = refused("channels", channels=channels)
    assert "secret" not in str(error)
    assert "secret" not in str(error.__cause__)
    assert "secret" not in repr(error.__cause__)


def test_every_setting_is_described() -> None:
    """Each setting has the words that the documents and the command line show."""
    sections = json.loads(json.dumps(Settings.model_json_schema()))["$defs"]
    undescribed = [
        f"{section}.{name}"
        for section, schema in sections.items()
        for name, setting in schema.get("properties", {}).items()
        if not setting.get("description")
    ]
    assert undescribed == []


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nats://a:4222", r"stream\.ca_file.*has no effect because stream\.url does not use TLS: write tls://"),
        ("tls://a:4222,nats://b:4222", r"stream\.url.*nats:// for all servers or tls:// for all"),
    ],
)
def test_an_authority_is_for_tls(directory: Path, url: str, problem: str) -> None:
    """A certificate that would not be looked at, or not by every server, ends the start."""
    file = write(directory / "a.toml", f'[stream]\nurl = "{url}"\nca_file = "ca.pem"\n')
    refused(problem, file)
    write(file, '[stream]\nurl = "tls://a:4222, tls://b:4222"\nca_file = "ca.pem"\n')
    assert load_settings(file).stream.ca_file == Path("ca.pem")
