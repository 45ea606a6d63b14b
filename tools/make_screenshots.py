"""Make docs/console.png and docs/console.zh-CN.png: the overview of `answerback demo`, as Chromium shows it.

Needs Chromium, pngquant and optipng.
"""
# ruff: noqa: INP001, S101, S603, S607  # a script, not a package; its arguments are its own

import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

TOP = Path(__file__).parents[1]
PICTURES = {"console.png": "en-GB", "console.zh-CN.png": "zh-CN"}


def take(browser: Browser, link: str, path: Path, locale: str) -> None:
    """Sign in by the link, and keep a picture of the overview's upper part."""
    page = browser.new_page(
        locale=locale, color_scheme="light", viewport={"width": 1280, "height": 720}, reduced_motion="reduce"
    )
    page.goto(link)
    page.keyboard.press("Enter")
    expect(page.locator(".system-status")).to_be_visible()
    page.goto(f"{link.partition('/sign-in')[0]}/alerts")
    while not page.locator(".alerts .state-bad").count():
        page.wait_for_timeout(1000)
        page.reload()
    page.goto(f"{link.partition('/sign-in')[0]}?range=30d")
    heat_map = page.locator(".card").nth(3).bounding_box()
    assert heat_map is not None
    page.set_viewport_size({"width": 1280, "height": round(heat_map["y"] + heat_map["height"] + 12)})
    page.screenshot(path=path)
    page.close()
    subprocess.run(["pngquant", "--force", "--output", path, "--speed", "1", path], check=True)
    subprocess.run(["optipng", "-quiet", "-o5", "-strip", "all", path], check=True)


def main() -> None:
    """Run a demo for each picture: a link opens once."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, locale in PICTURES.items():
            command: list[str | Path] = [
                Path(sys.executable).with_name("answerback"),
                "demo",
                "--no-open",
                "--port",
                "0",
                "--lang",
                "en",
            ]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
                assert demo.stdout is not None
                link = re.search(r"http://\S+#\S+", demo.stdout.readline())
                assert link is not None
                assert any("complete" in line for line in iter(demo.stdout.readline, ""))
                take(browser, link[0], TOP / "docs" / name, locale)
                demo.terminate()


if __name__ == "__main__":
    main()
