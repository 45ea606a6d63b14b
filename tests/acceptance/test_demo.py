"""`answerback demo`: in the terminal, a gateway with a past, live calls, an endpoint that fails and an alert; at the end, nothing."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import httpx
import pytest
from console_client import visible_text
from ending import ending
from forking import COMMAND
from gateway import START_TIMEOUT_S, environment
from receivers.process import await_true

FIRST_PAGE_S = 20.0  # where much else runs; 1.5 to 2 s on a machine of its own
WATCHED_S = 60.0
OURS = {name: value for name, value in environment().items() if not name.startswith("ANSWERBACK_")}


class Demo:
    """A demo that runs in `home`; its directory is below it, too."""

    def __init__(self, home: Path, *options: str, **settings: str) -> None:
        self.home = home
        began_s = time.monotonic()
        with (home / "err").open("wb") as err:
            self.process = subprocess.Popen(
                ending(COMMAND, "demo", "--no-open", "--port", "0", *options, by="TERM"),
                cwd=home,
                env=OURS | {"TMPDIR": str(home), "LC_ALL": "C.UTF-8"} | settings,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )
        assert self.process.stdout is not None
        self.stdout: IO[str] = self.process.stdout
        self.printed = self.stdout.readline()
        found = re.search(r"(http://127\.0\.0\.1:\d+)(/console/sign-in/link)#(\S+)", self.printed)
        assert found is not None, (self.printed, self.errors)
        self.url, path, code = found.groups()
        self.client = httpx.Client(base_url=self.url, trust_env=False, verify=False, timeout=30.0)
        answer = self.client.post(path, data={"link": code})
        assert answer.status_code == 303
        assert self.client.get("/console").status_code == 200
        self.first_page_s = time.monotonic() - began_s
        (self.directory,) = home.glob("answerback-demo-*")

    @property
    def errors(self) -> str:
        """What it has written to standard error."""
        return (self.home / "err").read_text()

    def read_on(self, words: str) -> None:
        """Read what it prints until these words."""
        while words not in self.printed:
            line = self.stdout.readline()
            assert line, self.printed
            self.printed += line

    def api(self, path: str, **query: str) -> Any:
        """Ask /v1 with the admin key of its directory."""
        key = (self.directory / "data" / "admin-key").read_text().strip()
        return self.client.get(f"/v1/{path}", params=query, headers={"Authorization": f"Bearer {key}"}).json()

    def processes(self) -> list[int]:
        """The processes that it has started."""
        found: list[int] = []
        for children in Path("/proc", str(self.process.pid), "task").glob("*/children"):
            with suppress(OSError):  # the thread has ended
                found += map(int, children.read_text().split())
        return found

    def end(self, number: int = signal.SIGTERM) -> int:
        """Signal it, and wait for its end."""
        self.client.close()
        self.process.send_signal(number)
        status = self.process.wait(START_TIMEOUT_S)
        self.stdout.close()
        return status


@contextmanager
def running(home: Path, *options: str, **settings: str) -> Iterator[Demo]:
    """A demo. If the test has not ended it, it ends well, and nothing is left of it."""
    demo = Demo(home, *options, **settings)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            children = demo.processes()
            assert demo.end() == 0
            await_gone(demo, children)


def await_gone(demo: Demo, children: list[int]) -> None:
    """Its directory and its processes go, and nobody listens."""
    await_true(lambda: not demo.directory.exists() and all(map(is_gone, children)), lambda: str(children))
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{demo.url}/healthz", trust_env=False, verify=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One that is looked at."""
    with running(tmp_path_factory.mktemp("demo")) as one:
        one.read_on("The history is complete")
        yield one


def is_gone(pid: int) -> bool:
    """Whether a process has ended."""
    with suppress(OSError):
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_the_first_page_comes_soon_and_leads(demo: Demo) -> None:
    """The link signs in; what there is to look at is named; the terminal is not filled with logs."""
    assert demo.first_page_s < FIRST_PAGE_S
    for word in ("Console", "Emulator", "Overview", "Calls", "Live", "Endpoints", "Alerts", "Ctrl-C"):
        assert re.search(rf"^{word}", demo.printed, re.MULTILINE), demo.printed
    assert demo.errors == ""
    assert str(demo.directory) in demo.printed
    (emulator,) = re.findall(r"Emulator +(http://127\.0\.0\.1:\d+)", demo.printed)
    assert httpx.get(emulator, trust_env=False, verify=False).status_code == 200


def test_there_are_thirty_days_of_calls_of_every_outcome(demo: Demo) -> None:
    """By day and night, with reasons, carriers, regions, fees that differ, and bodies that could not be parsed."""
    stats = demo.api("stats", range="30d")
    total = stats["total"]
    assert total["calls"] > 8_000
    assert min(total[outcome] for outcome in ("answered", "unanswered", "failed", "pending")) > 0
    assert 0.6 < total["answer_rate"] < 0.85
    assert len(stats["trend"]) >= 30
    assert stats["fees"]["mismatched_calls"] > 0
    assert stats["ingest"]["quarantined"] >= 3
    assert len(stats["carriers"]) >= 4
    assert len(stats["regions"]) >= 20
    assert len(demo.api("failures", range="30d")["items"]) >= 10
    page = visible_text(demo.client.get("/console", params={"range": "30d"}).text)
    assert "Answer rate by weekday and hour" in page


def test_calls_come_in_and_are_delivered(demo: Demo) -> None:
    """One endpoint obeys and one does not, which is paused; the alert about it fires, without any target."""
    await_true(
        lambda: {one["state"] for one in demo.api("deliveries", page_size="200")["items"]} >= {"delivered", "pending"},
        lambda: str(demo.api("deliveries")),
        WATCHED_S,
        0.5,
    )
    await_true(
        lambda: {one["rule"]: one["firing"] for one in demo.api("alerts")["items"]}["billing-is-down"],
        lambda: str(demo.api("alerts")),
        WATCHED_S,
        0.5,
    )
    page = visible_text(demo.client.get("/console").text)
    assert "Something is wrong" in page
    assert "Alerts 1" in page


def test_nothing_of_the_user_is_read_or_touched(tmp_path: Path) -> None:
    """Their settings, their directory and their port are left alone; in Chinese where the locale is."""
    (tmp_path / "answerback.toml").write_text("[server]\nno_such_setting = 1\n")
    (tmp_path / "answerback-data").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = {"ANSWERBACK_SERVER__PORT": "1", "ANSWERBACK_LEDGER__URL": "postgresql://x", "LC_ALL": "zh_CN.UTF-8"}
        with running(tmp_path, "--port", str(port), "--days", "1", **settings) as one:
            assert urlsplit(one.url).port != port
            one.read_on("历史数据已写入完毕")
            assert "按 Ctrl-C 结束演示并删除全部数据" in one.printed
            assert "演示使用自己的配置，已忽略：" in one.errors
            assert "ANSWERBACK_LEDGER__URL" in one.errors
            assert one.end(signal.SIGINT) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answerback-data", "answerback.toml", "err"]
    assert list((tmp_path / "answerback-data").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGHUP, marks=pytest.mark.soak)])
def test_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    """However it ends, as `running` checks of SIGTERM."""
    with running(tmp_path, "--days", "2") as one:
        children = one.processes()
        assert len(children) == 2
        assert one.end(number) == (-number if number == signal.SIGKILL else 0)
        await_gone(one, children)


@pytest.mark.soak
def test_a_child_that_is_killed_leaves_nothing_either(tmp_path: Path) -> None:
    """Without the process that would clean up after a killed demo, the demo does it itself. Nobody is told that its history is whole."""
    with running(tmp_path, "--days", "366") as one:
        for child in one.processes():
            os.kill(child, signal.SIGKILL)
        await_true(lambda: one.client.get("/readyz").status_code == 200)
        one.read_on("Ctrl-C ends")
        one.process.terminate()
        assert "history" not in one.stdout.read()
        assert one.end() == 0
        assert not one.directory.exists()


@pytest.mark.soak
def test_a_stop_before_it_listens_leaves_nothing(tmp_path: Path) -> None:
    """As soon as there is a directory, there is somebody to remove it."""
    process = subprocess.Popen(
        ending(COMMAND, "demo", "--no-open", "--port", "0", by="TERM"),
        cwd=tmp_path,
        env=environment() | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    await_true(lambda: list(tmp_path.glob("answerback-demo-*")), timeout_s=START_TIMEOUT_S)
    process.terminate()
    assert process.wait(START_TIMEOUT_S) in (0, 128 + signal.SIGTERM)
    await_true(lambda: not list(tmp_path.glob("answerback-demo-*")))
