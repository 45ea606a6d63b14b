"""Somebody with a browser, who complains of what no page of ours may do."""

import re
from collections.abc import Iterable, Mapping
from http.cookiejar import Cookie
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Locator, Page, Request, expect

from answerback.console.texts import texts

_PATIENCE_MS = 10_000
expect.set_options(timeout=_PATIENCE_MS)
_MISFITS = """() => {
  const shut = ".unseen, details:not([open]) > :not(summary)";
  const names = "button, .button, .state, .tag, .sections a, .switch a, h1, h2, h3, label, legend, dt, .tile dd, .tiles dd";
  const cells = ".records :is(th, td), .list thead th";
  const boxes = ".card, .tile, .panel, .notice, fieldset, .field, td, th";

  const wide = () => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return scrollWidth > clientWidth ? [`the page is ${scrollWidth} px wide in ${clientWidth}`] : [];
  };
  const cut = () => [...document.querySelectorAll(`${names}, ${cells}`)]
    .filter((one) => one.clientWidth && one.scrollWidth > one.clientWidth + 1)
    .filter((one) => !one.closest(`.clip, [hidden], ${shut}`) && getComputedStyle(one).textOverflow !== "ellipsis")
    .map((one) => `${one.tagName}.${one.className} is cut off: ${one.textContent.trim().slice(0, 60)}`);
  const outside = () => [...document.querySelectorAll("main *")].flatMap((one) => {
    const box = one.parentElement.closest(boxes);
    if (!box) return [];
    const mine = one.getBoundingClientRect(), its = box.getBoundingClientRect();
    const over = Math.max(mine.right - its.right, its.left - mine.left);
    if (!mine.width || over <= 1 || one.closest(`svg *, ${shut}`)) return [];
    for (let up = one.parentElement; up !== box; up = up.parentElement)
      if (/auto|scroll|hidden|clip/.test(getComputedStyle(up).overflowX)) return [];
    return [`${one.tagName}.${one.className} is ${Math.round(over)} px outside its ${box.className || box.tagName}`];
  });
  const lines = (one) => {
    const range = document.createRange();
    range.selectNodeContents(one);
    return new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size;
  };
  const squeezed = () => [...document.querySelectorAll("td, th")]
    .filter((one) => one.clientWidth && one.clientWidth < 96 && !one.closest(shut))
    .filter((one) => lines(one) > 3 && one.textContent.trim().length < 6 * lines(one))
    .map((one) => `${one.tagName}.${one.className} is squeezed: ${one.textContent.trim().slice(0, 60)}`);
  const hidden = () => [...document.querySelectorAll("main .scroll")]
    .filter((one) => one.scrollWidth > one.clientWidth + 1 && !one.querySelector(".heat") && !one.closest("details"))
    .map((one) => `the last columns of a table are hidden: ${one.scrollWidth} px in ${one.clientWidth}`);
  const menus = () => [...document.querySelectorAll("details:has(> .panel, > .menu-panel)")].flatMap((one) => {
    const was = one.open;
    one.open = true;
    const { left, right } = one.lastElementChild.getBoundingClientRect();
    one.open = was;
    return left < 0 || right > innerWidth ? [`a menu is outside the screen: ${left} to ${right} px`] : [];
  });
  const found = () => [...wide(), ...cut(), ...outside()];

  const asItIs = [...found(), ...squeezed(), ...hidden(), ...menus()];
  const figures = [...document.querySelectorAll("td.amount, .tile dd")].flatMap((one) => [...one.childNodes])
    .filter((part) => part.nodeType === Node.TEXT_NODE).map((part) => [part, part.data]);
  for (const [part, small] of figures) part.data = small.replace(/^\\s*[\\d,]+(?=\\s*$)/, "12,345,678");
  const large = found();
  for (const [part, small] of figures) part.data = small;
  return [...asItIs, ...large.filter((one) => !asItIs.includes(one)).map((one) => `with large figures, ${one}`)];
}"""

_BARRIERS = """async () => {
  const seen = new Set(), again = [];
  for (const one of document.querySelectorAll("tbody tr, .line")) {
    const look = one.outerHTML.replace(/>[^<]*[^<\\s][^<]*/g, ">x").replace(/ (?!class)([\\w-]+)="[^"]+"/g, " $1");
    if (seen.has(look)) again.push([one, document.createComment("")]);
    seen.add(look);
  }
  const rules = axe._audit.rules.filter((rule) => rule.enabled && !rule.tags.includes("experimental"));
  const serious = rules.filter((rule) => ["serious", "critical"].includes(rule.impact)).map((rule) => rule.id);
  for (const [one, place] of again) one.replaceWith(place);
  const found = await axe.run(document, { resultTypes: ["violations"], runOnly: serious });
  for (const [one, place] of again) place.replaceWith(one);
  return found;
}"""
"""Of rows that differ in nothing but their words, the first one is looked at; no rule is tried that finds nothing serious."""


class BrowserUser:
    """A browser context with one page, and `w`: the texts in its language. It serves one test after another.

    `complaints` gathers scripts' errors, foreign requests and dialogs.
    """

    def __init__(self, context: BrowserContext, axe: str, language: str) -> None:
        self.context = context
        self.w: Mapping[str, str] = texts(language.partition("-")[0])
        self.complaints: list[str] = []
        self._base_url = ""
        self._axe = axe
        self._scheme = ""
        context.set_default_timeout(_PATIENCE_MS)
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("console", self._listen)
        self.page.on("request", self._watch)
        self.page.on("dialog", self._refuse)

    def arrive(self, base_url: str, scheme: str, width: int, cookies: Iterable[Cookie]) -> None:
        """Stand before the console at `base_url`, signed in if the cookies are a session's."""
        self.complaints.clear()
        self._base_url = base_url
        self.look(scheme, width)
        for cookie in cookies:
            kept = str(cookie.value)
            self.context.add_cookies(
                [{"name": cookie.name, "value": kept, "domain": cookie.domain, "path": cookie.path}]
            )

    def leave(self) -> None:
        """Take nothing along to the next test."""
        self.page.goto(f"{self._base_url}/healthz")
        self.context.clear_cookies()

    def look(self, scheme: str, width: int) -> None:
        """Have the page light or dark, and so wide."""
        if scheme != self._scheme:
            self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            self._scheme = scheme
        self.page.set_viewport_size({"width": width, "height": 900})

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "status of 4" not in message.text:
            self.complaints.append(f"console: {message.text}")

    def _refuse(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _watch(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != urlsplit(self._base_url).netloc:
            self.complaints.append(f"foreign request: {request.url}")

    def sign_in(self, key: str) -> None:
        """Sign in by the form."""
        self.go("/console/sign-in")
        self.page.locator('input[name="key"]').fill(key)
        self.enter(self.page.locator('input[name="key"]'))
        assert "sign-in" not in self.page.url

    def go(self, path: str) -> int:
        """Open a path; its status."""
        answer = self.page.goto(self._base_url + path)
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
        return self.page.locator(".notice:is([role=status], [role=alert])").first.inner_text()

    @property
    def text(self) -> str:
        """What there is to read."""
        return self.page.locator("body").inner_text()

    def misfits(self) -> list[str]:
        """What does not fit: the page in the screen, words in their box or their lines, anything in its card, tile or cell.

        As it is, and with as many calls, minutes and seconds as a large company has in a year.
        """
        found: list[str] = self.page.evaluate(_MISFITS)
        return found

    def forgive(self, complaint: str) -> None:
        """Forget complaints of something that a test has done on purpose."""
        self.complaints[:] = [said for said in self.complaints if complaint not in said]

    def barriers(self) -> list[str]:
        """What axe-core finds serious, with the element."""
        self.page.evaluate(self._axe)
        found: dict[str, Any] = self.page.evaluate(_BARRIERS)
        return [f"{one['id']}: {node['html'][:120]}" for one in found["violations"] for node in one["nodes"]]
