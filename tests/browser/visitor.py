"""Somebody with a browser, who complains of what no page of ours may do."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Locator, Page, Request

from answerback.console.words import words

_PATIENCE_MS = 10_000
_SERIOUS = ("serious", "critical")
_CUT_OFF = """() => {
  const names = "button, .button, .state, .tag, .sections a, .switch a, h1, h2, h3, label, legend, dt, .tile dd, .tiles dd";
  const cells = ".records :is(th, td), .list thead th";
  const hidden = (one) => one.closest(".unseen, .clip, [hidden], details:not([open]) > :not(summary)");
  const cut = (one) => one.clientWidth && one.scrollWidth > one.clientWidth + 1;
  const clips = (one) => getComputedStyle(one).textOverflow === "ellipsis";
  return [...document.querySelectorAll(`${names}, ${cells}`)]
    .filter((one) => !hidden(one) && cut(one) && !clips(one))
    .map((one) => `${one.tagName} ${one.className}: ${one.textContent.trim().slice(0, 60)}`);
}"""

_SPILT = """() => {
  const boxes = ".card, .tile, .panel, .notice, fieldset, .field, td, th";
  return [...document.querySelectorAll("main *")].flatMap((one) => {
    const box = one.parentElement.closest(boxes);
    if (!box || one.closest(".unseen, svg *, details:not([open]) > :not(summary)")) return [];
    for (let up = one.parentElement; up !== box; up = up.parentElement)
      if (/auto|scroll|hidden|clip/.test(getComputedStyle(up).overflowX)) return [];
    const mine = one.getBoundingClientRect(), its = box.getBoundingClientRect();
    const over = Math.max(mine.right - its.right, its.left - mine.left);
    return mine.width && over > 1 ? [`${one.tagName}.${one.className} is ${Math.round(over)} px outside its ${box.className || box.tagName}`] : [];
  });
}"""

_SWELL = """() => {
  for (const one of document.querySelectorAll("td.amount, .tile dd"))
    for (const part of one.childNodes)
      if (part.nodeType === Node.TEXT_NODE) part.data = part.data.replace(/^\\s*[\\d,]+(?=\\s*$)/, "12,345,678");
}"""


class Visitor:
    """One browser context with one page, and `w`: the texts in its language.

    `complaints` gathers scripts' errors, broken rules, foreign requests and dialogs.
    """

    def __init__(self, context: BrowserContext, base_url: str, axe: str, language: str = "en-GB") -> None:
        self.context = context
        self.w: Mapping[str, str] = words(language.partition("-")[0])
        self.complaints: list[str] = []
        self._host = urlsplit(base_url).netloc
        self._axe = axe
        context.set_default_timeout(_PATIENCE_MS)
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("console", self._listen)
        self.page.on("request", self._watch)
        self.page.on("dialog", self._refuse)

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "status of 4" not in message.text:
            self.complaints.append(f"console: {message.text}")

    def _refuse(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _watch(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != self._host:
            self.complaints.append(f"foreign request: {request.url}")

    def sign_in(self, key: str) -> None:
        """Sign in by the form."""
        self.page.goto("/console/sign-in")
        self.page.locator('input[name="key"]').fill(key)
        self.enter(self.page.locator('input[name="key"]'))
        assert "sign-in" not in self.page.url

    def go(self, path: str) -> int:
        """Open a path; its status."""
        answer = self.page.goto(path)
        assert answer is not None
        return answer.status

    def press(self, text: str, within: str = "body", *, stays: bool = False) -> None:
        """Press the button, or the link, that is called so, and be where it leads; one that `stays` leads nowhere."""
        named = re.compile(rf"^\s*{re.escape(text)}\s*$")
        inside = self.page.locator(within)
        found: Locator = inside.get_by_role("button", name=named).or_(inside.get_by_role("link", name=named)).first
        if stays:
            found.click()
        else:
            self.follow(found)

    def follow(self, way: Locator) -> None:
        """Click on what leads to another page, and be there: a click alone returns before."""
        with self.page.expect_navigation():
            way.click()

    def enter(self, field: Locator) -> None:
        """Send a form by the keyboard, and be where it leads."""
        with self.page.expect_navigation():
            field.press("Enter")

    def choose(self, **fields: str) -> None:
        """Choose from lists, by value."""
        for name, value in fields.items():
            self.page.locator(f'main select[name="{name}"]').select_option(value)

    def fill(self, **fields: str) -> None:
        """Write into fields."""
        for name, value in fields.items():
            self.page.locator(f'main input[name="{name}"]').fill(value)

    @property
    def notice(self) -> str:
        """What the page says of what was done last."""
        return self.page.locator(".notice").first.inner_text()

    @property
    def text(self) -> str:
        """What there is to read."""
        return self.page.locator("body").inner_text()

    def is_too_wide(self) -> bool:
        """Whether the page itself scrolls sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))

    def cut_off(self) -> list[str]:
        """What is written in a box too small for it: names of things, and cells of tables."""
        found: list[str] = self.page.evaluate(_CUT_OFF)
        return found

    def swell(self) -> None:
        """Show as many calls, minutes and seconds as a large company has in a year."""
        self.page.evaluate(_SWELL)

    def spilt(self) -> list[str]:
        """What stands out of the card, the tile or the cell that it is in, where nothing scrolls."""
        found: list[str] = self.page.evaluate(_SPILT)
        return found

    def forgive(self, complaint: str) -> None:
        """Forget complaints of something that a test has done on purpose."""
        self.complaints[:] = [said for said in self.complaints if complaint not in said]

    def barriers(self) -> list[str]:
        """What axe-core finds serious, with the element."""
        self.page.evaluate(self._axe)
        found: dict[str, Any] = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {node['html'][:120]}"
            for one in found["violations"]
            if one["impact"] in _SERIOUS
            for node in one["nodes"]
        ]
