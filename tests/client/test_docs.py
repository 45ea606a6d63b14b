"""The programs in docs/client.md run, and print what stands there; the Chinese page has the same."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from gateway import Gateway

from answerback.client import Client
from answerback.relay.signing import generate_secret

DOCS = Path(__file__).parents[2] / "docs"
PRINTED = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


def programs(page: str) -> list[str]:
    """The blocks of Python."""
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an ASGI application; give its URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_the_programs_run(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One after the other, as somebody would paste them; the last one gets the test of a real gateway."""
    names: dict[str, Any] = {"__name__": "docs"}
    secret = generate_secret()
    for name, value in {"ANSWERBACK_URL": gateway.url, "ANSWERBACK_KEY": gateway.key, "VOICE_SECRET": secret}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    *programs_of_client, receiver = programs("client.md")
    for program in programs_of_client:
        exec(program, names)  # our own page
        assert capsys.readouterr().out.splitlines() == PRINTED.findall(program)
    exec(receiver, names)
    with Client(gateway.url, gateway.key) as client, served(names["app"]) as url:
        client.endpoints.create(f"{url}/voice", name="docs", secret=secret, channel="alerts")
        assert client.endpoints.test("docs").delivered
        client.endpoints.delete("docs")
    assert capsys.readouterr().out.splitlines() == PRINTED.findall(receiver)
    assert (tmp_path / "calls.ndjson").exists()


def test_both_languages_show_the_same_programs() -> None:
    """But for their comments."""
    english, chinese = (
        [re.sub(r"  # .*$", "", one, flags=re.MULTILINE) for one in programs(page)]
        for page in ("client.md", "client.zh-CN.md")
    )
    assert english == chinese
