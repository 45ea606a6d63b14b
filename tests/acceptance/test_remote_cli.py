"""The command line for a remote gateway, as on a laptop: it says the same as on the gateway's own machine."""

import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from gateway import OK, Gateway, failure, key_press, prompt, run

CONFIG = """
[alerts.rules.few-answers]
metric = "answer_rate"
below = 0.6

[endpoints.crm]
url = "https://user.example.com/secret/path"
enabled = false
"""
CLOCKS = {"at", "silent_s", "waiting", "recorder_lag_s", "lag_s"}
"""Fields of a status that go on while it is asked."""


class Laptop:
    """A machine with nothing but the command, whose user can log in."""

    def __init__(self, home: Path, gateway: Gateway, config: Path) -> None:
        self.home = home
        self.gateway = gateway
        self.config = config
        self.profiles = home / "profiles"

    def run(self, *arguments: str | Path, settings: Mapping[str, str] | None = None) -> CompletedProcess[str]:
        """A command on the laptop."""
        return run(
            *arguments, cwd=self.home, settings={"ANSWERBACK_PROFILE_DIR": str(self.profiles), **(settings or {})}
        )

    def run_there(self, *arguments: str | Path) -> CompletedProcess[str]:
        """A command on the gateway's own machine."""
        options = ("--data-dir", self.gateway.data_dir, "--config", self.config)
        return self.run(*arguments, *options)

    def login(self, key: str, *options: str) -> CompletedProcess[str]:
        """Log in with a key."""
        file = self.home / "some.key"
        file.write_text(key)
        return self.run("login", self.gateway.url, "--key-file", file, *options)


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A laptop logged in to a gateway on which something has happened: `default` as its admin, `viewer` and `operator`."""
    home = tmp_path_factory.mktemp("remote")
    (home / "laptop").mkdir()
    config = home / "gateway.toml"
    config.write_text(CONFIG)
    with Gateway(home / "data", options=["--config", config]) as gateway:
        gateway.await_ready()
        for body in (prompt("13788888888"), key_press("keys"), failure("failed"), prompt("told", fee="3")):
            assert gateway.post(body).content == OK
        assert gateway.post(b"mobile=13788888888").status_code == 400
        gateway.await_recorded()
        laptop = Laptop(home / "laptop", gateway, config)
        assert laptop.login(gateway.key).returncode == 0
        for role in ("viewer", "operator"):
            key = laptop.run("keys", "create", role, "--role", role).stdout.strip()
            assert laptop.login(key, "--profile", role).returncode == 0
        yield laptop


def shown(done: CompletedProcess[str]) -> Any:
    """The JSON of a command that succeeded, without its clocks."""
    assert (done.returncode, done.stderr) == (0, "")
    return _without_clocks(json.loads(done.stdout))


def _without_clocks(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_clocks(item) for name, item in value.items() if name not in CLOCKS}
    return [_without_clocks(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "command",
    [
        "calls list --limit 2",
        "calls list --mobile 13788888888 --outcome answered --since 2020-01-01",
        "calls list --unmask",
        "calls show told",
        "calls show told --channel default --unmask",
        "callbacks show told",
        "callbacks show keys --unmask",
        "quarantine list",
        "quarantine show 1",
        "quarantine show 1 --unmask",
        "deliveries list",
        "deliveries list --endpoint crm --state pending --limit 1",
        "deliveries show 1",
        "endpoints list",
        "endpoints show crm",
        "stats --range today",
        "stats --range 30d --channel default --kind prompt",
        "alerts list",
        "keys list",
        "status",
    ],
)
def test_what_programs_read_is_the_same_from_afar(laptop: Laptop, command: str) -> None:
    """Field by field, masked or not, on a page as in a record."""
    here, there = laptop.run_there(*command.split(), "--json"), laptop.run(*command.split(), "--json")
    assert shown(there) == shown(here)
    assert "1378888" in here.stdout or "--unmask" not in command or "told" in command or "keys" in command


@pytest.mark.parametrize("command", ["calls list", "quarantine list", "endpoints list", "keys list", "stats --charts"])
def test_what_people_read_is_the_same_from_afar(laptop: Laptop, command: str) -> None:
    """In both languages."""
    for language in ("en", "zh"):
        words = [*command.split(), "--lang", language]
        here, there = laptop.run_there(*words), laptop.run(*words)
        assert (there.returncode, there.stdout) == (0, here.stdout)


@pytest.mark.parametrize("dataset", ["calls", "callbacks", "deliveries", "statistics"])
def test_an_export_is_the_same_from_afar(laptop: Laptop, dataset: str) -> None:
    """Byte for byte, on standard output and in a file."""
    span = [] if dataset == "deliveries" else ["--since", "2020-01-01", "--timezone", "Asia/Shanghai"]
    words = ["export", dataset, "--format", "ndjson", *span]
    here, there = laptop.run_there(*words), laptop.run(*words)
    assert (there.returncode, there.stdout, here.returncode) == (0, here.stdout, 0)
    assert len(here.stdout.splitlines()) >= 1
    assert "13788888888" not in here.stdout
    done = laptop.run(*words, "--output", "file.ndjson")
    assert "file.ndjson" in done.stderr
    assert (laptop.home / "file.ndjson").read_text() == here.stdout


def test_a_profile_is_for_its_owner_alone(laptop: Laptop) -> None:
    """The directory and the file; the list of profiles has no key, and a file that others may read is refused by name."""
    file = laptop.profiles / "viewer.json"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (laptop.profiles, file)]
    assert modes == [0o700, 0o600]
    assert sorted(path.name for path in laptop.profiles.iterdir()) == ["default.json", "operator.json", "viewer.json"]
    listed = laptop.run("profiles", "--json")
    names = ["default", "operator", "viewer"]
    assert json.loads(listed.stdout) == {"items": [{"profile": name, "url": laptop.gateway.url} for name in names]}
    file.chmod(0o640)
    try:
        done = laptop.run("calls", "list", "--profile", "viewer")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert f"{file}: others may read the key" in done.stderr
    finally:
        file.chmod(0o600)
