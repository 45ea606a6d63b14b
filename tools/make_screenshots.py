"""Make docs/console.png and docs/console.zh-CN.png: the overview of a gateway with two months of calls, as Chromium shows it.

Needs Chromium, pngquant and optipng.
"""
# ruff: noqa: INP001, S101, S311, S603, S607  # a script, not a package; chance makes its calls, its arguments are its own

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright

TOP = Path(__file__).parents[1]
sys.path[:0] = [str(TOP / "tests"), str(TOP / "bench")]

from gateway import Gateway  # noqa: E402
from seed import received  # noqa: E402

from answerback.ledger import open_sqlite  # noqa: E402

PICTURES = {"console.png": "en-GB", "console.zh-CN.png": "zh-CN"}
CALLS_BY_HOUR = (0, 0, 0, 0, 0, 0, 1, 3, 9, 16, 18, 14, 8, 10, 15, 17, 16, 14, 12, 10, 7, 4, 1, 0)
"""How many calls an ordinary hour in Shanghai has."""
SHANGHAI = timedelta(hours=8)
CONFIG = """
[server]
public_url = "https://voice.example.com"
[channels.alerts]
token = "9fHc4BnUe6TyXo1WqJ8k"
[channels.codes]
token = "K3v9sYpW2mQx7LdR5tZa"
[channels.default]
token = "tB6xQv8nRw3yLz5mKj2d"
[endpoints.crm]
url = "https://crm.example.com/voice"
"""


def start_times(chance: random.Random) -> Iterator[datetime]:
    """When calls started, from 60 days ago until now: more each week, fewer at weekends, none at night."""
    now = datetime.now(UTC)
    first = hour = (now - timedelta(days=60)).replace(minute=0, second=0, microsecond=0)
    while hour < now:
        local = hour + SHANGHAI
        growth = 1 + (hour - first) / timedelta(days=60) / 4
        most = growth * CALLS_BY_HOUR[local.hour] * (2 if local.weekday() < 5 else 1)  # noqa: PLR2004  # Saturday
        moments = (
            hour + timedelta(seconds=chance.randrange(3600)) for _ in range(round(most * chance.uniform(0.8, 1.2)))
        )
        yield from sorted(moment for moment in moments if moment < now - timedelta(minutes=2))
        hour += timedelta(hours=1)


def take(browser: Browser, gateway: Gateway, path: Path, locale: str) -> None:
    """Sign in, and keep a picture of the overview's upper part."""
    page = browser.new_page(
        locale=locale, color_scheme="light", viewport={"width": 1280, "height": 720}, reduced_motion="reduce"
    )
    page.goto(f"{gateway.url}/console")
    page.locator("input[type=password]").fill(gateway.key)
    page.locator("input[type=password]").press("Enter")
    page.goto(f"{gateway.url}/console?range=30d")
    heat_map = page.locator(".card").nth(3).bounding_box()
    assert heat_map is not None
    page.set_viewport_size({"width": 1280, "height": round(heat_map["y"] + heat_map["height"] + 12)})
    page.screenshot(path=path)
    page.close()
    subprocess.run(["pngquant", "--force", "--output", path, "--speed", "1", path], check=True)
    subprocess.run(["optipng", "-quiet", "-o5", "-strip", "all", path], check=True)


def main() -> None:
    """Fill a ledger, serve it, take both pictures."""
    chance = random.Random(7)
    with TemporaryDirectory() as home:
        data_dir, config = Path(home, "data"), Path(home, "answerback.toml")
        config.write_text(CONFIG)
        ledger = open_sqlite(data_dir)
        ledger.record(
            [
                received(f"{chance.getrandbits(128):032x}", int(moment.timestamp()), chance)
                for moment in start_times(chance)
            ]
        )
        ledger.close()
        with Gateway(data_dir, options=["--config", config]) as gateway, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for name, locale in PICTURES.items():
                take(browser, gateway, TOP / "docs" / name, locale)


if __name__ == "__main__":
    main()
