import re
from pathlib import Path

import msgspec
import pytest

from answerback.emulator.faults import FaultProfile
from answerback.emulator.limits import Limits
from answerback.emulator.outcomes import SHARES
from answerback.emulator.settings import CALLBACK_URL, DEFAULT_CREDENTIALS, load_settings
from answerback.emulator.views import CallbackAttemptView, EmulatedCallView, StepView
from answerback.errors import ConfigError

DOCS = Path(__file__).parents[2] / "docs"


def written(directory: Path, text: str) -> Path:
    """A config file."""
    file = directory / "cloud.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_without_a_file_there_is_an_application_ready_to_use() -> None:
    """An application, a key for either API, templates, and a gateway on this machine to call back."""
    settings = load_settings(None)
    application = settings.account().applications[DEFAULT_CREDENTIALS["app_id"]]
    assert (application.app_key, application.callback_url) == (DEFAULT_CREDENTIALS["app_key"], CALLBACK_URL)
    assert settings.secrets == {DEFAULT_CREDENTIALS["secret_id"]: DEFAULT_CREDENTIALS["secret_key"]}
    assert (settings.shares, settings.faults, settings.limits) == (SHARES, FaultProfile(), None)
    assert application.templates
    assert application.balance is None


@pytest.mark.parametrize("name", ["emulator.md", "emulator.zh-CN.md"])
def test_the_documents_example_is_read(tmp_path: Path, name: str) -> None:
    """All of it: application, key, template, words, balance, secrets, shares, faults, limits."""
    (example,) = re.findall(r"```toml\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL)
    settings = load_settings(written(tmp_path, example))
    application = settings.account("http://127.0.0.1:9/elsewhere").applications["1400000001"]
    assert application.app_key == "5f03a35d00ee52a21327ab048186a2c4"
    assert application.callback_url == "http://127.0.0.1:9/elsewhere"
    assert application.templates == {"1001": "告警：{1}，请尽快处理。"}
    assert (len(application.sensitive_words), application.balance) == (1, 100)
    assert settings.shares == {"000": 0.8, "002": 0.2}
    assert settings.faults == FaultProfile(duplicates=0.1, retry_delays_s=[5, 20])
    assert settings.limits == Limits(per_day=3, requests_per_second=50)
    assert len(settings.secrets) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[applications.1]\napp_key = 7", r"Expected `str`.*applications"),
        ("[applications.1]\nname = 'a'", r"app_key"),
        ("[applications.1]\napp_key = 'k'\nbalanse = 1", r"balanse"),
        (
            "[applications.1]\napp_key = 'k'\ncallback_url = 'ftp://x'",
            r"applications\.1\.callback_url: expected http://… or https://…, got ftp://x",
        ),
        ("[faults]\nduplicate = 1.0", r"duplicate"),
        ("[faults]\nretry_delays_s = []", r"retry_delays_s"),
        ("[faults]\nretry_delays_s = [5, -1]", r"retry_delays_s"),
        ("[limits]\na_week = 1", r"a_week"),
        ("[shares]\n999 = 1.0", r"shares\.999: there is no such ending"),
        ("[shares]\n000 = 0", r"shares: numbers from 0 on, not all of them 0"),
        ("[applications.mine]\napp_key = 'k'", r"applications\.mine: an SDK AppID is a number"),
        ("[limits]\nper_day = -1", r">= 0.*limits\.per_day"),
        ("[applications]", r"applications: at least one"),
        ("[applications", r"cloud\.toml: "),
    ],
)
def test_what_is_invalid_is_named(tmp_path: Path, text: str, words: str) -> None:
    """The field, and the file."""
    with pytest.raises(ConfigError, match=words) as caught:
        load_settings(written(tmp_path, text))
    assert "cloud.toml" in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://x/y", "127.0.0.1:8000/voice/callback", "http://", "http://host:0/", ""])
def test_a_callback_url_that_is_none_is_named(url: str) -> None:
    """By the option, before anything is sent there."""
    with pytest.raises(ConfigError, match="--callback-url: expected http"):
        load_settings(None).account(url)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the option that names it."""
    with pytest.raises(ConfigError, match=r"--config: .*none\.toml"):
        load_settings(tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["emulator.md", "emulator.zh-CN.md"])
@pytest.mark.parametrize("view", [EmulatedCallView, StepView, CallbackAttemptView])
def test_the_fields_of_the_api_are_documented(name: str, view: type[msgspec.Struct]) -> None:
    """Whoever asserts on `GET /api/calls` in another language finds each field."""
    text = (DOCS / name).read_text(encoding="utf-8")
    assert [field for field in view.__struct_fields__ if f"`{field}`" not in text] == []
