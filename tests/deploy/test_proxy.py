"""The reverse proxy of compose.yaml, by the real nginx where there is one."""

import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from deploy.files import DEPLOY, program
from ending import ending
from gateway import CALLBACK, OK, Gateway, prompt
from ports import port_of, reserve_port

from answerback.config import Settings
from answerback.feed.activity_feed import HEARTBEAT_S

_CONFIG = DEPLOY / "nginx/nginx.conf"
_DEFAULTS = "gzip on; gzip_proxied any; gzip_types text/event-stream; location / { proxy_http_version 1.0;"


@pytest.fixture(scope="module")
def lasting_intakes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Gateway]]:
    """Two gateways that take callbacks, of which a test may kill one."""
    home = tmp_path_factory.mktemp("proxied")
    settings = {"ANSWERBACK_LEDGER__LOCK_TIMEOUT_S": "0.3"}
    with Gateway(home / "one", settings=settings) as one, Gateway(home / "two", settings=settings) as two:
        yield [one, two]


@pytest.fixture
def intakes(lasting_intakes: list[Gateway]) -> list[Gateway]:
    """Both of them, ready."""
    for gateway in lasting_intakes:
        if not gateway.up:
            gateway.start()
        gateway.await_ready()
    return lasting_intakes


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """Two free ports: of the proxy as it is deployed, and of one that was told nothing."""
    with closing(reserve_port()) as one, closing(reserve_port()) as two:
        yield [port_of(one), port_of(two)]


@pytest.fixture
def proxy(tmp_path: Path, intakes: list[Gateway], ports: list[int]) -> Iterator[httpx.Client]:
    """The proxy on a free port, in front of gateways of this machine; the second one is asked by people as well."""
    port = ports[0]
    names = ("intake-1", "intake-2", "front")
    config = _rewritten(
        tmp_path, port, {name: one.address[1] for name, one in zip(names, [*intakes, intakes[1]], strict=True)}
    )
    plain = f"server {{ listen 127.0.0.1:{ports[1]}; {_DEFAULTS} proxy_pass http://front; }} }}"
    config.write_text(config.read_text().rstrip().removesuffix("}") + plain + "}")
    process = subprocess.Popen(ending(program("nginx"), "-c", config, "-g", "daemon off;", by="TERM"))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False, timeout=20) as client:
            _await_answer(client)
            yield client
    finally:
        process.terminate()
        process.wait()


def _rewritten(directory: Path, port: int, gateways: Mapping[str, int]) -> Path:
    """The configuration of deploy/, with places on this machine in place of the container's."""
    text = _CONFIG.read_text().replace("listen 8080", f"listen 127.0.0.1:{port}").replace("/tmp/", f"{directory}/")
    for name, its_port in gateways.items():
        text = text.replace(f"server {name}:8000", f"server 127.0.0.1:{its_port}")
    config = directory / "nginx.conf"
    config.write_text(text.replace("/dev/stderr", str(directory / "log")))
    return config


def test_nginx_takes_the_file(tmp_path: Path) -> None:
    """The server finds nothing wrong with it."""
    config = _rewritten(tmp_path, 8080, {"intake-1": 8001, "intake-2": 8002, "front": 8003})
    ended = subprocess.run(
        [program("nginx"), "-t", "-c", config], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr


def test_gateways_end_connections_last() -> None:
    """The proxy gives an idle connection up before the gateway does, and waits for an answer longer than it takes."""
    intake = Settings.model_fields["intake"].default
    text = _CONFIG.read_text()
    assert all(int(idle_s) < intake.keep_alive_s for idle_s in re.findall(r"keepalive_timeout (\d+)s", text))
    assert f"client_max_body_size {intake.max_body_bytes // 1024}k" in text
    location = text.partition("location /voice/")[2].partition("}")[0]
    waits_s = re.search(r"proxy_read_timeout (\d+)s", location)
    assert waits_s is not None
    assert int(waits_s[1]) > intake.commit_timeout_s


def test_callbacks_are_answered_while_one_gateway_is_gone(proxy: httpx.Client, intakes: list[Gateway]) -> None:
    """A killed gateway costs no callback its answer: the other one is asked."""
    assert proxy.post(CALLBACK, content=prompt("before")).content == OK
    intakes[0].kill()
    for number in range(20):
        assert proxy.post(CALLBACK, content=prompt(f"after-{number}")).content == OK


def test_callbacks_go_to_who_can_store(proxy: httpx.Client, intakes: list[Gateway]) -> None:
    """A gateway that is not ready answers 503, and the proxy asks the other one."""
    with intakes[0].locked():
        intakes[0].post(prompt("stuck"))
        intakes[0].await_ready(503)
        for number in range(10):
            assert proxy.post(CALLBACK, content=prompt(f"ready-{number}")).status_code == 200


def test_outside_sees_only_what_wants_a_key(proxy: httpx.Client) -> None:
    """The console and /v1 are there, what wants no key is not, and nothing says which nginx it is."""
    assert proxy.get("/console", follow_redirects=True).status_code == 200
    assert proxy.get("/v1/calls").status_code == 401
    assert [proxy.get(path).status_code for path in ("/metrics", "/readyz", "/healthz", "/docs")] == [404] * 4
    assert proxy.get("/metrics").headers["server"] == "nginx"


@pytest.mark.usefixtures("proxy")
def test_events_come_at_once(ports: list[int], intakes: list[Gateway]) -> None:
    """Through the file of deploy/, and through an nginx that was told nothing, which buffers, compresses and speaks HTTP/1.0."""
    gateway = intakes[1]
    headers = {"Authorization": f"Bearer {gateway.key}"}
    for port in ports:
        url = f"http://127.0.0.1:{port}/v1/events"
        with httpx.stream("GET", url, headers=headers, trust_env=False, timeout=10) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("retry:")
            for number in range(3):
                callid = f"{port}-{number}"
                assert gateway.post(prompt(callid)).content == OK
                assert callid in next(line for line in lines if line.startswith("data:"))


def test_no_proxy_gives_a_silent_stream_up() -> None:
    """Where /v1 goes through, the file of deploy/ and the documents wait longer than a stream of events is silent."""
    files = (_CONFIG, DEPLOY.parent / "docs/deploy.md", DEPLOY.parent / "docs/deploy.zh-CN.md")
    for file in files:
        (block,) = re.findall(r"location [^{]*/\(?v1[^{]*\{([^}]*)\}", file.read_text())
        (waits_s,) = re.findall(r"proxy_read_timeout (\d+)s", block)
        assert int(waits_s) >= 2 * HEARTBEAT_S, file


def _await_answer(client: httpx.Client) -> None:
    deadline_s = time.monotonic() + 20
    while True:
        try:
            client.get("/")
        except httpx.HTTPError:
            assert time.monotonic() < deadline_s, "nginx does not answer"
            time.sleep(0.05)
        else:
            return
