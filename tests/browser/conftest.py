"""A real browser in front of a console that has something to show.

Screenshots of every page go to `artefacts/screenshots`, for people to look at.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx
import node
import pytest
from browser.filling import fill
from browser.visitor import Visitor
from gateway import Gateway
from playwright.sync_api import Browser, sync_playwright
from receivers.process import Receiver

AXE = "axe-core@4.10.3"
ARTEFACTS = Path(__file__).parents[2] / "artefacts" / "screenshots"
TOKENS = {"alerts": "tok-alerts-3k5Jq0ZtV2", "codes": "tok-codes-9fW1xYbR7m"}
LOCALES = ("en-GB", "zh-CN")
_NAMES = ("chromium", "chromium-browser", "google-chrome")

OpenVisitor = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Where there is none the test is skipped.

    It ends with its module: as long as it is there, its event loop is in the way of every other one's.
    """
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("THE CONSOLE IS NOT TESTED: there is no Chromium (apt-get install chromium fonts-noto-cjk)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


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
            '[relay]\nallow_networks = ["127.0.0.0/8"]\n'
            + "".join(f'[channels.{name}]\ntoken = "{token}"\n' for name, token in TOKENS.items())
            + f'[endpoints.ledger]\nurl = "{good.url}"\nformat = "tencent"\n'
            + f'[endpoints.broken]\nurl = "{bad.url}"\nchannel = "alerts"\n'
        )
        gateway = running.enter_context(Gateway(home / "data", options=["--config", config]))
        fill(gateway, TOKENS)
        yield gateway


@pytest.fixture(scope="session")
def viewer_key(gateway: Gateway) -> str:
    """The key of somebody who may only look, and sees masked numbers."""
    answer = httpx.post(
        f"{gateway.url}/v1/keys",
        json={"name": "looker", "role": "viewer", "full_numbers": False},
        headers={"Authorization": f"Bearer {gateway.key}"},
        trust_env=False,
    )
    key: str = answer.raise_for_status().json()["key"]
    return key


@pytest.fixture
def visit(browser: Browser, gateway: Gateway, axe: str) -> Iterator[OpenVisitor]:
    """Open the console as somebody: language, scheme, width; signed in where a key is given."""
    opened: list[Visitor] = []

    def start(
        key: str | None = None,
        *,
        language: str = "en-GB",
        scheme: str = "light",
        width: int = 1440,
        javascript: bool = True,
    ) -> Visitor:
        context = browser.new_context(
            base_url=gateway.url,
            locale=language,
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 900},
            java_script_enabled=javascript,
            reduced_motion="reduce",
        )
        visitor = Visitor(context, gateway.url, axe, language)
        opened.append(visitor)
        if key is not None:
            visitor.sign_in(key)
        return visitor

    yield start
    for visitor in opened:
        visitor.context.close()
    assert [said for visitor in opened for said in visitor.complaints] == []


@pytest.fixture(params=LOCALES)
def visitor(request: pytest.FixtureRequest, visit: OpenVisitor, gateway: Gateway) -> Visitor:
    """The administrator, in each language, in a browser that runs no scripts."""
    return visit(gateway.key, language=request.param, javascript=False)


@pytest.fixture
def keep() -> Callable[[Visitor, Sequence[str]], None]:
    """Keep a picture of what is on the screen, for people to look at."""

    def picture(visitor: Visitor, name: Sequence[str]) -> None:
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        plain = re.sub(r"[^a-z0-9]+", "-", "-".join(name).lower()).strip("-")
        visitor.page.screenshot(path=ARTEFACTS / f"{plain}.png", full_page=True)

    return picture
