"""Which gateway a command is for: options, environment, profiles and files each have their place, and two that differ are no choice."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from client.unruly_server import Behaviour, UnrulyServer, answer, hang_up, say

from answerback.cli.connection import RemoteGateway, connect
from answerback.cli.profiles import Profile, save_profile
from answerback.cli.target import GatewayTarget
from answerback.config import load_settings
from answerback.config.server import ServerSettings
from answerback.config.settings import DEFAULT_FILE
from answerback.errors import AnswerbackError, ConfigError

NOTHING = dict.fromkeys(("url", "key_file", "profile", "data_dir", "database_url", "config"))
HERE = None
NO_GATEWAY = "profile a: {url} does not offer this: it is not a gateway, or one of another version"


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with three, each of which was synced."""
    directory = tmp_path_factory.mktemp("profiles")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("ANSWERBACK_PROFILE_DIR", str(directory))
        for name in ("default", "a", "b"):
            save_profile(name, Profile(url=f"http://{name}", key=f"ab_{name}"))
    return directory


@pytest.fixture(autouse=True)
def home(tmp_path: Path, profiles: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory without anything of a gateway's, and three profiles."""
    for name in ("URL", "KEY", "PROFILE", "CA_FILE", "SERVER__DATA_DIR", "LEDGER__URL"):
        monkeypatch.delenv(f"ANSWERBACK_{name}", raising=False)
    monkeypatch.setenv("ANSWERBACK_PROFILE_DIR", str(tmp_path / "profiles"))
    shutil.copytree(profiles, tmp_path / "profiles")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("key").write_text("ab_file\n")
    return tmp_path


def chosen(**options: Any) -> RemoteGateway | None:
    """What the options choose."""
    return GatewayTarget({**NOTHING, **options}, is_quiet=True).remote


def place(remote: RemoteGateway | None) -> tuple[str, str, str] | None:
    """What chose it, its URL and its key."""
    return None if remote is None else (remote.name, remote.profile.url, remote.profile.key)


URL = {"ANSWERBACK_URL": "http://env", "ANSWERBACK_KEY": "ab_env"}
A = ("--profile a", "http://a", "ab_a")


@pytest.mark.parametrize(
    ("options", "environment", "files", "expected"),
    [
        ({}, {}, [], ("profile default", "http://default", "ab_default")),
        ({}, {}, ["answerback.toml"], HERE),
        ({}, {}, ["answerback-data"], HERE),
        ({}, {"ANSWERBACK_SERVER__DATA_DIR": "/var/lib/answerback"}, [], HERE),
        ({}, {"ANSWERBACK_LEDGER__URL": "postgresql://db"}, [], HERE),
        ({}, {"ANSWERBACK_KEY": "ab_env"}, [], ("profile default", "http://default", "ab_default")),
        ({}, URL, ["answerback-data"], ("ANSWERBACK_URL", "http://env", "ab_env")),
        ({}, {"ANSWERBACK_PROFILE": "b"}, ["answerback-data"], ("ANSWERBACK_PROFILE=b", "http://b", "ab_b")),
        ({"profile": "a"}, URL, ["answerback-data"], A),
        ({"profile": "a"}, {"ANSWERBACK_PROFILE": "b"}, [], A),
        ({"url": "http://x"}, {"ANSWERBACK_KEY": "ab_env", "ANSWERBACK_PROFILE": "b"}, [], ("--url", "http://x", "ab_env")),
        ({"url": "http://x", "key_file": Path("key")}, URL, [], ("--url", "http://x", "ab_file")),
        ({"key_file": Path("key")}, URL, [], ("ANSWERBACK_URL", "http://env", "ab_file")),
        ({"data_dir": Path("x")}, URL, [], HERE),
        ({"database_url": "postgresql://db"}, {"ANSWERBACK_PROFILE": "b"}, [], HERE),
        ({"config": Path("x")}, {}, [], HERE),
        ({"data_dir": Path("x"), "key_file": Path("key")}, URL, [], HERE),
    ],
)  # fmt: skip
def test_what_decides(
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    environment: dict[str, str],
    files: list[str],
    expected: tuple[str, str, str] | None,
) -> None:
    """Options before the environment, that before what is here, that before the default profile."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in files:
        Path(name).touch()
    assert place(chosen(**options)) == expected


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        ({"url": "http://x", "profile": "a"}, {}, "--url and --profile name two gateways"),
        ({"url": "http://x", "data_dir": Path("x")}, {}, "--data-dir and --url name two gateways"),
        ({"profile": "a", "config": Path("x")}, {}, "--config and --profile name two gateways"),
        ({"profile": "a", "database_url": "x"}, {}, "--database-url and --profile name two gateways"),
        ({"profile": "a", "key_file": Path("key")}, {}, "--key-file and --profile a name two keys"),
        ({}, {**URL, "ANSWERBACK_PROFILE": "a"}, "ANSWERBACK_URL and ANSWERBACK_PROFILE name two gateways"),
        ({}, {"ANSWERBACK_URL": "http://env"}, "ANSWERBACK_URL: there is no API key for it: give --key-file or ANSWERBACK_KEY"),
        ({"url": "http://x"}, {}, "--url: there is no API key for it"),
        ({"url": "http://x", "key_file": Path("missing")}, {}, "--key-file: missing: No such file or directory"),
        ({"profile": "c"}, {}, "--profile c: nobody has logged in: `answerback login URL --profile c` writes "),
        ({}, {"ANSWERBACK_PROFILE": "c"}, "ANSWERBACK_PROFILE=c: nobody has logged in"),
        ({"profile": "../a"}, {}, "--profile: ../a: a name is lowercase letters, digits, - and _"),
        ({}, {**URL, "ANSWERBACK_CA_FILE": "missing"}, "ANSWERBACK_CA_FILE: missing: No such file or directory"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_or_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], environment: dict[str, str], said: str
) -> None:
    """No gateway is better than the wrong one."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        chosen(**options)
    assert str(caught.value).startswith(said)


def test_where_there_is_nothing_both_ways_out_are_said(home: Path) -> None:
    """A data directory, or a login."""
    (home / "profiles" / "default.json").unlink()
    with pytest.raises(ConfigError, match=r"--data-dir, or log in to a remote gateway with `answerback login`"):
        chosen()


def test_what_chooses_a_gateway_is_no_unknown_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of a gateway here can be read with it in the environment; the names of what is here are the settings' own."""
    for name in ("URL", "KEY", "PROFILE", "CA_FILE"):
        monkeypatch.setenv(f"ANSWERBACK_{name}", "x")
    assert load_settings().server.data_dir == ServerSettings().data_dir
    monkeypatch.delenv("ANSWERBACK_URL")
    monkeypatch.delenv("ANSWERBACK_PROFILE")
    for path in (DEFAULT_FILE, ServerSettings().data_dir):
        path.mkdir()
        assert chosen() is HERE
        path.rmdir()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"url": 1, "key": "ab_secret"}', b"ab_secret \xff"])
def test_a_file_that_is_no_profile_is_refused_without_its_key(home: Path, content: bytes) -> None:
    """It is named, and how to replace it."""
    (home / "profiles" / "a.json").write_bytes(content)
    with pytest.raises(ConfigError, match="is not a profile: log in again") as caught:
        chosen(profile="a")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (answer(404, {"detail": "there is nothing at this address: /openapi.json lists what there is"}), NO_GATEWAY),
        (answer(404, {"detail": "Not Found"}), NO_GATEWAY),
        (say(404, b"<h1>Not Found</h1>"), NO_GATEWAY),
        (answer(302, Location="https://sign-in.example.com"), NO_GATEWAY),
        (answer(405, {"detail": "GET is not allowed at this address: POST"}), NO_GATEWAY),
        (answer(200, {"items": [{"name": "k"}]}), "profile a: GET /v1/keys: items.0.role is not what this version of the client expects"),
        (say(200, b"<h1>Welcome</h1>"), "profile a: GET /v1/keys: the body is not what this version of the client expects"),
        (answer(401, {"detail": "unknown API key"}), "profile a: {url} does not know this key: log in again with `answerback login`"),
        (answer(403, {"detail": "this requires the role admin"}), "profile a: this requires the role admin"),
        (answer(503, {"detail": "the ledger is away"}), "profile a: the ledger is away"),
        (hang_up, "profile a: no gateway answers at {url}: Connection reset by peer"),
        (answer(404, {"detail": "no key k"}), "no key k"),
        (answer(422, {"detail": "cursor: is not one of a previous page"}), "cursor: is not one of a previous page"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said_of_what_chose_the_gateway(
    monkeypatch: pytest.MonkeyPatch, response: Behaviour, said: str
) -> None:
    """A gateway of another version, none at all, a key that is not right; what a gateway says of the request itself stays as it is."""
    monkeypatch.setattr("answerback.client.retries._DELAYS_S", (0.0,))
    with UnrulyServer() as server:
        server.will(*[response] * 4)
        remote = RemoteGateway(name="profile a", key_name="profile a", profile=Profile(url=server.url, key="ab_key"))
        with pytest.raises(AnswerbackError) as caught, connect(remote) as client:
            client.keys.list().first()
    assert str(caught.value) == said.format(url=server.url)
