"""The secret of the server: where it comes from, and what is derived of it."""

import itertools
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from answerback.auth.server_secret import ServerSecret, load_or_create_line
from answerback.config import load_settings
from answerback.errors import ConfigError
from answerback.service.ledger_config import ledger_config

SET = SecretStr("x" * 32)


def test_it_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    """A new one the first time, the same at the second; nothing else is left in the directory."""
    assert ServerSecret.find(tmp_path) is None
    first, second = ServerSecret.load_or_create(tmp_path), ServerSecret.load_or_create(tmp_path)
    found = ServerSecret.find(tmp_path)
    assert found is not None
    assert vars(first) == vars(second) == vars(found)
    (path,) = tmp_path.iterdir()
    assert (path.name, stat.S_IMODE(path.stat().st_mode)) == ("server-secret", 0o600)
    assert len(path.read_text().strip()) >= 32
    other = ServerSecret.load_or_create(tmp_path, SET)
    assert not {*vars(other).values()} & {*vars(first).values()}
    assert len({*vars(first).values()}) == len(vars(first)) == 4


def test_one_that_is_set_touches_no_file(tmp_path: Path) -> None:
    """Processes that are given the same derive the same, whatever their directories."""
    made = [ServerSecret.load_or_create(tmp_path / name, SET) for name in "ab"]
    assert vars(made[0]) == vars(made[1])
    assert list(tmp_path.iterdir()) == []


def test_those_who_start_together_agree(tmp_path: Path) -> None:
    """All have seen that there is none, and make one: each goes on with what the first has put there."""
    starts = threading.Barrier(4)
    numbers = itertools.count()

    def create() -> str:
        starts.wait()
        return f"secret number {next(numbers)} of those who started together"

    with ThreadPoolExecutor(4) as threads:
        lines = list(threads.map(lambda _: load_or_create_line(tmp_path / "s", create), range(4)))
    assert len({line for line, _ in lines}) == 1
    assert [created for _, created in lines].count(True) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("text", ["", "\n", "x" * 31, "\u53f7" * 40])
def test_a_file_without_a_secret_is_refused(tmp_path: Path, text: str) -> None:
    """Empty, too short or not text: the error names the file, and shows nothing of it."""
    (tmp_path / "server-secret").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="server-secret: ") as caught:
        ServerSecret.load_or_create(tmp_path)
    assert "xxx" not in str(caught.value)


def test_a_setting_that_is_too_short_is_refused() -> None:
    """By name, with how to make a good one."""
    with pytest.raises(ConfigError, match=r"server\.secret: expected 32 characters or more.*openssl") as caught:
        load_settings(overrides={"server": {"secret": "x" * 31}})
    assert "xxx" not in str(caught.value)


def test_a_command_that_only_looks_makes_none(tmp_path: Path) -> None:
    """It has the gateway's keys where the directory is the gateway's, else none at all."""
    settings = load_settings(overrides={"server": {"data_dir": tmp_path}})
    assert ledger_config(settings).id_key is None
    assert list(tmp_path.iterdir()) == []
    secret = ServerSecret.load_or_create(tmp_path)
    assert ledger_config(settings).id_key == secret.id_key
    assert "key" not in repr(ledger_config(settings))
