"""The console below a path of a site that has others: the real nginx in front, which takes the path off or leaves it."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from deploy.files import program
from ending import ending
from gateway import CALLBACK, OK, Gateway, prompt
from playwright.sync_api import Browser, expect
from ports import port_of, reserve_port

BASE = "/answerback"
TOKEN = "tok-alerts-3k5Jq0ZtV2"
PAGES = (
    "",
    "/calls",
    "/calls/below",
    "/live",
    "/failures",
    "/fees",
    "/endpoints",
    "/deliveries",
    "/quarantine",
    "/settings",
    "/sign-in/link",
)
_SERVER = """
    server {{
        listen 127.0.0.1:{port};
        location {base}/ {{
            proxy_pass http://127.0.0.1:{gateway}{stripped};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
        }}
    }}
"""
_CONFIG = """
pid {home}/nginx.pid;
error_log {home}/nginx.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    {servers}
}}
"""


class Site(NamedTuple):
    """A gateway below a path; `ways` are the proxies that take the path off, and that leave it."""

    gateway: Gateway
    ways: dict[str, str]


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """Where the proxies listen."""
    with reserve_port() as taken_off, reserve_port() as left:
        yield {"taken off": port_of(taken_off), "left": port_of(left)}


@pytest.fixture(scope="module", params=[BASE, pytest.param("/console", marks=pytest.mark.soak)])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]
) -> Iterator[Site]:
    """One gateway, and a proxy of each kind; a path that is called as one of ours is no harder."""
    home, base = tmp_path_factory.mktemp("site"), request.param
    ways = {way: f"http://127.0.0.1:{port}{base}" for way, port in ports.items()}
    config = home / "answerback.toml"
    config.write_text(f'[server]\npublic_url = "{ways["taken off"]}/"\n[channels.alerts]\ntoken = "{TOKEN}"\n')
    with Gateway(home / "data", options=["--config", config]) as gateway:
        servers = [
            _SERVER.format(port=port, base=base, gateway=gateway.address[1], stripped="/" if way == "taken off" else "")
            for way, port in ports.items()
        ]
        (home / "nginx.conf").write_text(_CONFIG.format(home=home, servers="".join(servers)))
        nginx = subprocess.Popen(ending(program("nginx"), "-c", home / "nginx.conf", "-g", "daemon off;", by="TERM"))
        try:
            for url in ways.values():
                _await_answer(f"{url}/healthz")
            gateway.post(prompt("below"))
            gateway.post(b"junk")
            yield Site(gateway, ways)
        finally:
            nginx.terminate()
            nginx.wait()


def _await_answer(url: str) -> None:
    deadline_s = time.monotonic() + 20
    while True:
        try:
            assert httpx.get(url, trust_env=False, verify=False).status_code == 200
        except httpx.TransportError:
            assert time.monotonic() < deadline_s, "nginx does not answer"
            time.sleep(0.05)
        else:
            return


def signed_in(site: Site, way: str) -> httpx.Client:
    """A client whose paths start at the public URL, signed in from the page that it wanted."""
    url = site.ways[way]
    client = httpx.Client(base_url=url, trust_env=False, verify=False, follow_redirects=True, timeout=20)
    page = client.get(f"{url}/console/failures?range=30d")
    base = urlsplit(url).path
    assert page.url.path == f"{base}/console/sign-in"
    action = re.search(r'<form[^>]*action="([^"]+)"', page.text)
    wanted = re.search(r'name="next" value="([^"]+)"', page.text)
    assert action is not None
    assert wanted is not None
    answer = client.post(
        urljoin(url, action[1]),
        data={"key": site.gateway.key, "next": wanted[1].replace("&amp;", "&")},
        headers={"Origin": url.removesuffix(base)},
    )
    assert (answer.status_code, str(answer.url)) == (200, f"{url}/console/failures?range=30d")
    assert {cookie.path for cookie in client.cookies.jar} == {f"{base}/console"}
    return client


@pytest.mark.parametrize("way", ["taken off", pytest.param("left", marks=pytest.mark.soak)])
def test_every_address_on_every_page_leads_somewhere(site: Site, way: str) -> None:
    """Links, forms, style sheets and scripts are below the path, and what is linked is there."""
    url = site.ways[way]
    with closing(signed_in(site, way)) as client:
        found: set[str] = set()
        for path in PAGES:
            page = client.get(f"{url}/console{path}")
            assert page.status_code == 200, path
            addresses = re.findall(r'(href|src|action|data-events|data-deliveries)="([^"#?][^"]*)"', page.text)
            assert [to for _, to in addresses if not to.startswith(f"{urlsplit(url).path}/")] == [], path
            found |= {to.partition("?")[0] for what, to in addresses if what in {"href", "src"}}
        for address in sorted(found):
            if "/exports/" not in address:
                assert client.get(urljoin(url, address)).status_code == 200, address
        with client.stream("GET", f"{url}/console/live/events") as events:
            assert events.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("way", ["taken off", "left"])
def test_redirects_stay_below_the_path(site: Site, way: str) -> None:
    """The root, a choice of language, a search, and signing out."""
    url = site.ways[way]
    with closing(signed_in(site, way)) as client:
        assert str(client.get(f"{url}/").url) == f"{url}/console"
        assert str(client.get(f"{url}/console/").url) == f"{url}/console"
        assert str(client.get(f"{url}/console/fees?lang=zh").url) == f"{url}/console/fees"
        found = client.get(f"{url}/console/calls?find=below")
        assert found.url.path.startswith(f"{urlsplit(url).path}/console/calls"), found.url
        csrf = re.search(r'name="csrf" value="([^"]+)"', found.text)
        assert csrf is not None
        assert client.post(f"{url}/console/sign-out", data={"csrf": csrf[1]}).url.path.endswith("/console/sign-in")
        assert client.get(f"{url}/console/calls").url.path.endswith("/console/sign-in")


@pytest.mark.parametrize("way", ["taken off", "left"])
def test_callbacks_and_the_api_are_below_the_path_too(site: Site, way: str) -> None:
    """Everything that the gateway serves is, and also as itself, for who is on its machine."""
    url = site.ways[way]
    for path in (CALLBACK, f"{CALLBACK}/", f"{CALLBACK}/{TOKEN}", f"/{CALLBACK}//{TOKEN}/"):
        body = prompt("below-a-token" if TOKEN in path else "below-2")
        assert httpx.post(url + path, content=body, trust_env=False, verify=False).content == OK, path
        assert httpx.post(site.gateway.url + path, content=body, trust_env=False, verify=False).content == OK, path
    key = {"Authorization": f"Bearer {site.gateway.key}"}
    assert httpx.get(f"{url}/v1/calls/below", headers=key, trust_env=False, verify=False).json()["callid"] == "below"
    assert site.gateway.get("/v1/calls/below").status_code == 200
    assert f"{site.ways['taken off']}{CALLBACK}" in site.gateway.reported["callback_urls"].values()


def test_somebody_works_with_it(site: Site, browser: Browser) -> None:
    """In a real browser: sign in, watch a callback come in live, open its call."""
    url = site.ways["taken off"]
    page = browser.new_page()
    failed: list[str] = []
    page.on("response", lambda response: failed.append(response.url) if response.status >= 400 else None)
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(f"{url}/console/live")
    page.fill('input[name="key"]', site.gateway.key)
    page.press('input[name="key"]', "Enter")
    expect(page).to_have_url(f"{url}/console/live")
    expect(page.locator("#live-state.state-live")).to_be_visible()
    site.gateway.post(prompt("seen-live", mobile="13700001234"))
    page.locator(".line.new .line-callee").first.click()
    expect(page).to_have_url(f"{url}/console/calls/seen-live?channel=default")
    page.goto(f"{url}/console")
    page.locator(".sections a", has_text="Calls").click()
    expect(page).to_have_url(f"{url}/console/calls")
    page.close()
    assert failed == []
