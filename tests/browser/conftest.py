"""A real browser in front of a console that has something to show.

`make test ARGS="tests/browser/test_pages.py -m soak"` leaves screenshots of its pages in `artefacts/screenshots`.
"""

import re
import shutil
from asyncio import AbstractEventLoop, get_running_loop
from asyncio.events import _set_running_loop
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from http.cookiejar import CookieJar
from pathlib import Path

import nodejs as node
import pytest
from browser.browser_user import BrowserUser
from browser.sample_data import fill
from console_client import make_key, signed_in
from gateway import Gateway
from playwright.sync_api import Browser, sync_playwright
from receivers.process import Receiver

AXE = "axe-core@4.10.3"
ARTEFACTS = Path(__file__).parents[2] / "artefacts" / "screenshots"
TOKENS = {"alerts": "tok-alerts-3k5Jq0ZtV2", "codes": "tok-codes-9fW1xYbR7m"}
LOCALES = ("en-GB", "zh-CN")
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first one is Chromium without its own windows and menus: a third of the CPU for the same pages."""

OpenBrowserUser = Callable[..., BrowserUser]


@pytest.fixture(scope="session")
def chromium() -> Iterator[tuple[Browser, AbstractEventLoop]]:
    """Debian's Chromium, one for all tests of this process, and Playwright's event loop. Where there is none the test is skipped."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip(
            "THE CONSOLE IS NOT TESTED: there is no Chromium (apt-get install chromium-headless-shell fonts-noto-cjk)"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        loop = get_running_loop()
        _set_running_loop(None)
        yield browser, loop
        _set_running_loop(loop)
        browser.close()


@pytest.fixture
def browser(chromium: tuple[Browser, AbstractEventLoop]) -> Iterator[Browser]:
    """Chromium. Its event loop counts as running while it is used, and only then: other tests of this process run theirs."""
    browser, loop = chromium
    _set_running_loop(loop)
    yield browser
    _set_running_loop(None)


@pytest.fixture(scope="session")
def waiting() -> dict[tuple[str, bool], list[BrowserUser]]:
    """Visitors whose test is over, by language and whether they run scripts: a new one costs more than most tests."""
    return {}


@pytest.fixture(scope="session")
def sessions() -> dict[tuple[str, str], CookieJar]:
    """The cookies of who is signed in, by gateway and key: only the tests of the form go through it."""
    return {}


@pytest.fixture(scope="session")
def axe(request: pytest.FixtureRequest) -> str:
    """The program of axe-core."""
    return (node.install(request.config, AXE) / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with three channels, endpoints that obey and that do not, and calls of every sort."""
    home = tmp_path_factory.mktemp("console")
    with ExitStack() as running:
        good = running.enter_context(Receiver(home, "good"))
        bad = running.enter_context(Receiver(home, "bad", behaviour="refusing", status=500))
        config = home / "answerback.toml"
        config.write_text(
            '[relay]\nallowed_networks = ["127.0.0.0/8"]\n'
            + "".join(f'[channels.{name}]\ntoken = "{token}"\n' for name, token in TOKENS.items())
            + f'[endpoints.ledger]\nurl = "{good.url}"\nformat = "tencent"\n'
            + f'[endpoints.broken]\nurl = "{bad.url}"\nchannel = "alerts"\n'
            + '[alerts.rules.broken-is-down]\nmetric = "endpoint"\nendpoint = "broken"\n'
        )
        gateway = running.enter_context(Gateway(home / "data", options=["--config", config]))
        fill(gateway, TOKENS)
        yield gateway


@pytest.fixture(scope="session")
def viewer_key(gateway: Gateway) -> str:
    """The key of somebody who may only look, and sees masked numbers."""
    return make_key(gateway, "looker", "viewer")


@pytest.fixture
def visit(
    browser: Browser,
    gateway: Gateway,
    axe: str,
    waiting: dict[tuple[str, bool], list[BrowserUser]],
    sessions: dict[tuple[str, str], CookieJar],
) -> Iterator[OpenBrowserUser]:
    """Open the console as somebody: language, scheme, width; signed in where a key is given."""
    visiting: list[tuple[list[BrowserUser], BrowserUser]] = []

    def session(key: str) -> CookieJar:
        if (gateway.url, key) not in sessions:
            with signed_in(gateway, key) as person:
                sessions[gateway.url, key] = person.client.cookies.jar
        return sessions[gateway.url, key]

    def start(
        key: str | None = None,
        *,
        language: str = "en-GB",
        scheme: str = "light",
        width: int = 1440,
        javascript: bool = True,
    ) -> BrowserUser:
        those = waiting.setdefault((language, javascript), [])
        if those:
            user = those.pop()
        else:
            context = browser.new_context(locale=language, java_script_enabled=javascript, reduced_motion="reduce")
            user = BrowserUser(context, axe, language)
        visiting.append((those, user))
        user.arrive(gateway.url, scheme, width, session(key) if key else ())
        return user

    yield start
    for those, user in visiting:
        user.leave()
        those.append(user)
    assert [said for _, user in visiting for said in user.complaints] == []


@pytest.fixture(params=[pytest.param("en-GB", marks=pytest.mark.soak), "zh-CN"])
def user(request: pytest.FixtureRequest, visit: OpenBrowserUser, gateway: Gateway) -> BrowserUser:
    """The administrator, in Chinese and, in `make soak`, in English, in a browser that runs no scripts."""
    return visit(gateway.key, language=request.param, javascript=False)


@pytest.fixture
def keep() -> Callable[[BrowserUser, Sequence[str]], None]:
    """Keep a picture of what is on the screen, for people to look at."""

    def picture(user: BrowserUser, name: Sequence[str]) -> None:
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        plain = re.sub(r"[^a-z0-9]+", "-", "-".join(name).lower()).strip("-")
        user.page.screenshot(path=ARTEFACTS / f"{plain}.png", full_page=True, animations="allow", caret="initial")

    return picture
