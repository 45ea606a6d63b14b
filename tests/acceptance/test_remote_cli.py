"""The command line for a remote gateway, as on a laptop: it says the same as on the gateway's own machine."""

import json
import re
import signal
import stat
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from client.unruly_server import UnrulyServer, answer
from forking import launch
from gateway import OK, Gateway, environment, failure, key_press, prompt, run
from receivers.process import Receive, await_true
from receivers.webhook_receiver import relaying
from relay.certificates import found_authority, server_side
from terminal import Typed, at_a_terminal

MOBILE, ERASED = "13788888888", "13700000001"
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
    with Gateway(home / "data", settings=relaying(), options=["--config", config]) as gateway:
        gateway.await_ready()
        for body in (
            prompt("13788888888"),
            key_press("keys"),
            failure("failed"),
            prompt("told", fee="3", mobile=MOBILE),
            prompt("erased", mobile=ERASED),
        ):
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
        "calls show told --channel default --unmask",
        "callbacks show keys --unmask",
        "quarantine list",
        "quarantine show 1 --unmask",
        "deliveries list --endpoint crm --state pending --limit 1",
        "deliveries show 1",
        "endpoints list",
        "endpoints show crm",
        "stats --range 30d --channel default --kind prompt",
        "alerts list",
        "keys list",
        "status",
    ],
)
def test_what_programs_read_is_the_same_from_afar(laptop: Laptop, command: str) -> None:
    """Field by field, masked or not, on a page as in a record."""
    words = (*command.split(), "--json")
    here, there = laptop.run_there(*words), laptop.run(*words)
    if command in {"status", "alerts list"}:  # here as of the last heartbeat or measurement, there as of now
        await_true(lambda: shown(laptop.run_there(*words)) == shown(laptop.run(*words)))
    else:
        assert shown(there) == shown(here)
    assert "1378888" in here.stdout or "--unmask" not in command or "told" in command or "keys" in command


@pytest.mark.parametrize("command", ["calls list", "endpoints list --lang zh", "stats --charts", "stats --lang zh"])
def test_what_people_read_is_the_same_from_afar(laptop: Laptop, command: str) -> None:
    """In both languages."""
    here, there = laptop.run_there(*command.split()), laptop.run(*command.split())
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
        assert f"{file}: other users can read the key" in done.stderr
    finally:
        file.chmod(0o600)


@pytest.mark.parametrize(
    ("arguments", "key", "said"),
    [
        (["{url}"], "ab_unknown", "--key-file: {url} does not know this key\n"),
        (["{url}"], "two words", "--key-file: key: expected an API key"),
        (["{url}", "--profile", "No"], "ab_key", "--profile: No: a name is lowercase letters, digits, - and _"),
        (["{url}", "--ca-file", "some.key"], "ab_key", "--ca-file: expected the certificates of an authority in PEM"),
        (["{url}/console"], "ab_key", "URL: {url}/console does not offer this: it is not a gateway, or one of another version"),
        (["{tls}"], "ab_key", "URL: no gateway answers at {tls}: it does not speak TLS"),
        (["http://127.0.0.1:1"], "ab_key", "URL: no gateway answers at http://127.0.0.1:1: Connection refused"),
        (["voice.example.com"], "ab_key", "URL: url: expected http://host or https://host"),
    ],
)  # fmt: skip
def test_a_login_that_fails_stores_nothing_and_says_why(
    laptop: Laptop, arguments: list[str], key: str, said: str
) -> None:
    """One line that names the argument."""
    url = laptop.gateway.url

    def fill(text: str) -> str:
        return text.format(url=url, tls=f"https{url[4:]}")

    (laptop.home / "some.key").write_text(key)
    words = ["login", *map(fill, arguments), "--key-file", "some.key"]
    done = laptop.run(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"answerback: {fill(said)}")
    assert len(list(laptop.profiles.iterdir())) == 3


def test_at_a_terminal_the_key_is_asked_for_and_not_shown(laptop: Laptop, tmp_path: Path) -> None:
    """The line of the login says who it is; later ones name the gateway, but not where a program reads JSON."""
    settings = {"ANSWERBACK_PROFILE_DIR": str(tmp_path / "new" / "profiles")}
    gateway = laptop.gateway
    typed = Typed("API key: ", f"{gateway.key}\n")
    status, shown = at_a_terminal("login", gateway.url, cwd=laptop.home, settings=settings, typed=typed)
    assert status == 0, shown
    assert f"logged in to {gateway.url}, version {version('answerback')}, with the key " in shown
    assert "admin with full numbers" in shown
    assert gateway.key not in shown
    assert (
        at_a_terminal("login", gateway.url, cwd=laptop.home, settings=settings, typed=Typed("API key: ", "\x04"))[0]
        == 1
    )
    _, shown = at_a_terminal("calls", "list", "--lang", "zh", cwd=laptop.home, settings=settings)
    assert shown.splitlines()[0].count(f"网关：{gateway.url}（登录配置 default）") == 1
    _, shown = at_a_terminal("calls", "list", "--json", cwd=laptop.home, settings=settings)
    assert gateway.url not in shown


def test_a_key_in_the_clear_is_warned_of(laptop: Laptop) -> None:
    """Where http:// leaves this machine, and only there."""
    (laptop.home / "some.key").write_text("ab_key")
    done = laptop.run("login", "http://nobody.invalid", "--key-file", "some.key")
    assert "warning: over http:// the key and all numbers are sent unencrypted" in done.stderr
    assert "warning" not in laptop.login("ab_key").stderr


def test_a_private_authority_is_remembered(laptop: Laptop, tmp_path: Path) -> None:
    """Its certificates themselves: the file that they were in may go."""
    authority = found_authority(tmp_path, "authority")
    me = answer(200, {"name": "k", "role": "viewer", "full_numbers": False})
    nobody = answer(200, {"items": []})
    status = json.loads(laptop.run("status", "--json").stdout)
    (laptop.home / "some.key").write_text("ab_key")
    with UnrulyServer(server_side(authority.issue("gateway", hosts="IP:127.0.0.1"))) as server:
        login = ("login", server.url, "--key-file", "some.key", "--profile", "private")
        refused = laptop.run(*login)
        assert refused.stderr.count("\n") == 1
        assert "its certificate is not trusted: " in refused.stderr
        assert "`answerback login --ca-file`, or ANSWERBACK_CA_FILE" in refused.stderr
        server.will(me, answer(200, status), nobody, nobody)
        assert laptop.run(*login, "--ca-file", authority.file).returncode == 0
        key = {"ANSWERBACK_KEY": "ab_key", "ANSWERBACK_CA_FILE": str(authority.file)}
        assert laptop.run("keys", "list", "--url", server.url, settings=key).returncode == 0
        authority.file.unlink()
        assert laptop.run("keys", "list", "--profile", "private").returncode == 0
    assert laptop.run("logout", "--profile", "private").returncode == 0


@pytest.mark.parametrize(
    ("command", "profile", "said"),
    [
        ("keys list", "viewer", "this requires the role admin; the key `viewer` has viewer"),
        ("keys create k", "operator", "this requires the role admin; the key `operator` has operator"),
        ("calls list --mobile 13788888888", "viewer", "mobile: searching calls by a phone number requires the right to full numbers"),
        ("calls list --unmask", "viewer", "--unmask: the key viewer may not see full numbers"),
        ("export calls --unmask", "viewer", "--unmask: the key viewer may not see full numbers"),
        ("erase --number 13788888888 --dry-run", "default", "--dry-run: rows are counted where the ledger is"),
        ("calls show nope", "viewer", "no call nope"),
        ("export deliveries --kind prompt", "viewer", "kind: deliveries cannot be filtered by it"),
        ("stats --until 2026-01-01", "viewer", "since: is required with until"),
    ],
)  # fmt: skip
def test_what_a_key_may_not_do_is_said_in_a_line(laptop: Laptop, command: str, profile: str, said: str) -> None:
    """With the role that it takes."""
    done = laptop.run(*command.split(), "--profile", profile)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert said in done.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("keys list --profile viewer", "--profile viewer：需要角色 admin；密钥 `viewer` 的角色是 viewer"),
        ("calls list --profile nobody", "--profile nobody：尚未登录：`answerback login URL --profile nobody` 会写入 "),
        ("calls list --url x --profile viewer", "--url 与 --profile 指向两个网关：请去掉一个"),
        ("calls list --data-dir nowhere", "server.data_dir：nowhere/ledger.db 处没有账本"),
    ],
)
def test_it_is_said_in_chinese_too(laptop: Laptop, command: str, said: str) -> None:
    """The option or the profile stays as it is."""
    done = laptop.run(*command.split(), "--lang", "zh")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"answerback: {said}")


def test_numbers_are_masked_by_who_asks_and_by_the_key(laptop: Laptop) -> None:
    """What is not asked for is not revealed; a viewer sees hosts alone of an endpoint's URL."""
    shown_in_full = re.compile(r"numbers_unmasked .*path=/v1/calls/told")
    revealed = len(shown_in_full.findall(laptop.gateway.stderr))
    assert json.loads(laptop.run("calls", "show", "told", "--json").stdout)["mobile"] == "137****8888"
    assert json.loads(laptop.run("calls", "show", "told", "--json", "--unmask").stdout)["mobile"] == MOBILE
    await_true(lambda: len(shown_in_full.findall(laptop.gateway.stderr)) == revealed + 1)
    for profile, shown in (("viewer", False), ("operator", True)):
        done = laptop.run("endpoints", "list", "--profile", profile)
        assert ("/secret/path" in done.stdout) == shown


def test_what_changes_something_works_from_afar(laptop: Laptop, receive: Receive) -> None:
    """Keys, endpoints, deliveries, the quarantine; what it says is what /v1 says."""
    gateway = laptop.gateway

    def do(*words: str) -> Any:
        done = laptop.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    made = do("keys", "create", "night-shift", "--role", "viewer")
    assert made["key"].startswith("ab_")
    assert do("keys", "revoke", str(made["id"])) == {name: value for name, value in made.items() if name != "key"}
    receiver = receive()
    assert do("endpoints", "add", "here", receiver.url)["secret"].startswith("whsec_")
    assert do("endpoints", "test", "here")["delivered"]
    assert gateway.post(prompt("delivered")).content == OK
    arrived = ("deliveries", "list", "--endpoint", "here", "--state", "delivered")
    await_true(lambda: do(*arrived)["items"])
    delivered = do(*arrived)["items"][0]
    assert do("deliveries", "replay", str(delivered["id"]))["callid"] == "delivered"
    assert do("deliveries", "replay", "--endpoint", "here", "--all-dead")["status"] == "done"
    receiver.await_taken(3)
    assert laptop.run("endpoints", "remove", "here").stdout == "endpoint here is removed\n"
    assert laptop.run("quarantine", "requeue", "--json").returncode == 1
    assert gateway.post(b"another").status_code == 400
    newest = do("quarantine", "list")["items"][0]["id"]
    assert do("quarantine", "delete", str(newest), "99") == {"deleted": 1}
    assert do("console", "--no-open")["key"] == "admin"


@pytest.mark.parametrize("command", ["tail", "listen"])
def test_what_happens_is_followed_from_afar(laptop: Laptop, command: str) -> None:
    """By the profile, masked."""
    output, errors = laptop.home / f"{command}.out", laptop.home / f"{command}.err"
    settings = environment({"ANSWERBACK_PROFILE_DIR": str(laptop.profiles)})
    with output.open("wb") as out, errors.open("wb") as err:
        process = launch([command], cwd=laptop.home, env=settings, stdout=out, stderr=err)
    try:
        await_true(lambda: b"Ctrl-C" in errors.read_bytes())
        assert laptop.gateway.post(prompt(f"seen-by-{command}", mobile=MOBILE)).content == OK
        await_true(lambda: f"seen-by-{command} 137****8888" in output.read_text())
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_on_its_own_machine_a_running_gateway_is_asked_with_its_own_key(laptop: Laptop, tmp_path: Path) -> None:
    """Not with that of ANSWERBACK_URL. Where it has gone, the file that named it is said."""
    elsewhere = {"ANSWERBACK_URL": "http://127.0.0.1:1", "ANSWERBACK_KEY": "ab_elsewhere"}
    here = ("console", "--no-open", "--json", "--data-dir")
    assert laptop.run(*here, laptop.gateway.data_dir, settings=elsewhere).returncode == 0
    refused = laptop.run(*here, laptop.gateway.data_dir, settings={"ANSWERBACK_KEY": "ab_unknown"})
    assert refused.stderr == f"answerback: ANSWERBACK_KEY: {laptop.gateway.url} does not know this key\n"
    (tmp_path / "gateway-url").write_text("http://127.0.0.1:1")
    (tmp_path / "admin-key").write_text("ab_key")
    gone = laptop.run(*here, tmp_path)
    said = "no gateway answers at http://127.0.0.1:1: Connection refused"
    assert (gone.returncode, gone.stderr) == (1, f"answerback: {tmp_path / 'gateway-url'}: {said}\n")


def test_a_number_is_erased_from_afar(laptop: Laptop) -> None:
    """The gateway does it, and the command waits for it; at a terminal the question names the gateway."""
    settings = {"ANSWERBACK_PROFILE_DIR": str(laptop.profiles)}
    words = ("erase", "--number", ERASED)
    typed = Typed(f"Erase this number at {laptop.gateway.url} for good? ", "n\n")
    assert at_a_terminal(*words, cwd=laptop.home, settings=settings, typed=typed)[0] == 1
    assert json.loads(laptop.run("calls", "show", "erased", "--json", "--unmask").stdout)["mobile"] == ERASED
    done = laptop.run(*words, "--yes", "--json")
    assert json.loads(done.stdout)["state"] == "done", done.stderr
    assert json.loads(laptop.run("calls", "show", "erased", "--json", "--unmask").stdout)["mobile"] is None
