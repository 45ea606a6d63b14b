"""The page of `answerback emulate`, as a browser without JavaScript and a curious stranger meet it."""

import hashlib
import html
import itertools
import json
import time
import uuid
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx
import pytest
from forking import launch
from gateway import START_TIMEOUT_S, STOP_TIMEOUT_S, environment
from receivers.process import Receive, Receiver, await_true

from answerback.emulator.outcomes import SCRIPT_ROWS
from answerback.emulator.settings import EmulatorSettings
from answerback.emulator.snippets import SnippetLanguage, build_snippets

SCRIPT = "<script>alert(1)</script>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
CALL = {"app_id": "1400000001", "number": "13800138000", "ending": "", "kind": "prompt", "text": "disk full"}


class Emulator:
    """`answerback emulate` on a free port, and a browser's part in talking to it; killed at the end."""

    def __init__(self, home: Path, *options: str | Path) -> None:
        out = home / f"emulate-{uuid.uuid4().hex}.out"
        with out.open("wb") as reported, out.with_suffix(".err").open("wb") as err:
            arguments = ["emulate", "--port", "0", "--json", *options]
            self._process = launch(arguments, cwd=home, env=environment(), stdout=reported, stderr=err)
        try:
            await_true(lambda: out.read_text().endswith("}\n"), out.with_suffix(".err").read_text, START_TIMEOUT_S)
        except AssertionError:
            self._process.kill()
            self._process.wait()
            raise
        self.reported: dict[str, Any] = json.loads(out.read_text())
        self.url: str = self.reported["url"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(STOP_TIMEOUT_S)

    def get(self, path: str = "/", **headers: str) -> httpx.Response:
        """GET, with no memory of earlier visits."""
        return httpx.get(self.url + path, headers=headers, trust_env=False, verify=False)

    def place(self, headers: dict[str, str] | None = None, /, **fields: str) -> httpx.Response:
        """Fill in the form and send it."""
        return httpx.post(f"{self.url}/calls", data=CALL | fields, headers=headers, trust_env=False, verify=False)

    def call(self, **fields: str) -> str:
        """Place a call; the path of its page."""
        answer = self.place(**fields)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def finished(self, path: str) -> str:
        """The page at `path` once its call is finished."""
        await_true(lambda: self.record(path)["finished"], lambda: str(self.record(path)))
        return self.get(path).text

    def record(self, path: str) -> dict[str, Any]:
        """The call of the page at `path`, as JSON."""
        record: dict[str, Any] = self.get(f"/api{path}").json()
        return record

    def calls(self) -> list[dict[str, Any]]:
        """All calls, as JSON."""
        calls: list[dict[str, Any]] = self.get("/api/calls").json()["items"]
        return calls

    def send(self, text: str, mobile: str = "13800138000") -> str:
        """Send by API 2.0; the path of the call's page."""
        now = int(time.time())
        app = self.reported["applications"][0]
        signed = f"appkey={app['app_key']}&random=7&time={now}&mobile={mobile}"
        body = {
            "tel": {"nationcode": "86", "mobile": mobile},
            "prompttype": 2,
            "promptfile": text,
            "sig": hashlib.sha256(signed.encode()).hexdigest(),
            "time": now,
        }
        url = f"{self.url}/v5/tlsvoicesvr/sendvoiceprompt?sdkappid={app['sdkappid']}&random=7"
        reported = httpx.post(url, json=body, trust_env=False, verify=False).json()
        assert reported["result"] == 0, reported
        return f"/calls/{reported['callid']}"


class Element(NamedTuple):
    """A start tag."""

    tag: str
    attributes: dict[str, str | None]


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.elements.append(Element(tag, dict(attrs)))

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        """The attributes of every element with one of `tags`."""
        return [one.attributes for one in self.elements if one.tag in tags]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for this module's processes."""
    return tmp_path_factory.mktemp("emulator-page")


@pytest.fixture(scope="module")
def receiver(home: Path) -> Iterator[Receiver]:
    """Somebody who takes every callback."""
    with Receiver(home) as running:
        yield running


@pytest.fixture(scope="module")
def emulator(home: Path, receiver: Receiver) -> Iterator[Emulator]:
    """An emulator whose calls take no time."""
    with Emulator(home, "--instant", "--callback-url", receiver.url) as running:
        yield running


def test_home_shows_what_is_ready_to_use(emulator: Emulator, receiver: Receiver) -> None:
    """Application, keys, callback URL, templates and programs with this emulator's address are on the first page."""
    page = emulator.get().text
    application = emulator.reported["applications"][0]
    secret_id, secret_key = next(iter(emulator.reported["secrets"].items()))
    wanted = [application["sdkappid"], application["app_key"], receiver.url, secret_id, secret_key, "unlimited", "1001"]
    wanted += [emulator.url, f"{emulator.url}/v5/tlsvoicesvr/sendvoiceprompt", "tencentcloud-sdk-python-vms"]
    assert [text for text in wanted if text not in page] == []
    assert 'data-copy="Copy" data-copied="Copied"' in page


@pytest.mark.parametrize("language", [*SnippetLanguage, "cobol"])
def test_programs_are_chosen_by_their_language(emulator: Emulator, language: str) -> None:
    """A tab for each language; the one that is chosen is marked, and its programs are those of `answerback snippet`."""
    page = html.unescape(emulator.get(f"/?snippet={language}").text)
    tabs = [one for one in Page(page).all("a") if (one.get("href") or "").startswith("/?snippet=")]
    assert [one["href"] for one in tabs] == [f"/?snippet={one}#snippets" for one in SnippetLanguage]
    shown = SnippetLanguage(language) if language in set(SnippetLanguage) else SnippetLanguage.PYTHON
    assert [one["href"] for one in tabs if one.get("aria-current")] == [f"/?snippet={shown}#snippets"]
    for one in build_snippets(shown, EmulatorSettings().account(), emulator.url):
        assert one.program in page


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_ending_is_in_table_and_form(emulator: Emulator, language: str) -> None:
    """Each ending of the number table stands in the table and in the form's select, in the page's language."""
    page = html.unescape(emulator.get(f"/?lang={language}").text)
    options = {one.get("value") for one in Page(page).all("option")}
    assert {row.ending for row in SCRIPT_ROWS} <= options
    assert [row.ending for row in SCRIPT_ROWS if page.count(getattr(row, language)) < 2] == []


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("en-US,en;q=0.9,zh;q=0.8", "en"),
        ("en;q=0.2, zh-Hans ; Q=0.7", "zh-CN"),
        ("zh;Q=0.2, en;q=0.7", "en"),
        ("de,fr;q=0.9", "en"),
        ("zh;q=0", "en"),
        ("zh;q=much,,;", "en"),
    ],
)
def test_language_is_the_browsers(emulator: Emulator, accepted: str, language: str) -> None:
    """Accept-Language chooses, by its weights; English where it names neither."""
    answer = emulator.get(**{"Accept-Language": accepted})
    assert answer.headers["content-language"] == language
    assert Page(answer.text).all("html")[0]["lang"] == language
    assert ("发起呼叫" in answer.text) == (language == "zh-CN")
    assert ("Place a call" in answer.text) == (language == "en")


def test_language_switch_is_remembered(emulator: Emulator) -> None:
    """`?lang=zh` wins over the browser, and a cookie that no script can read keeps it; an unknown one does nothing."""
    with httpx.Client(
        base_url=emulator.url, headers={"Accept-Language": "en"}, trust_env=False, verify=False
    ) as browser:
        cookie = browser.get("/?lang=zh").headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert browser.get("/").headers["content-language"] == "zh-CN"
        unknown = browser.get("/?lang=%3Cscript%3E")
        assert unknown.headers["content-language"] == "zh-CN"
        assert "set-cookie" not in unknown.headers
        assert browser.get("/?lang=en").headers["content-language"] == "en"
        assert browser.get("/").headers["content-language"] == "en"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["Dialled", "Ringing", "Answered", "Key", "Ended", "Accepted", "answered", "Status sent"]),
        ("zh", ["拨号", "振铃", "接听", "按键", "结束", "已接收", "推送状态"]),
    ],
)
def test_placed_call_lives_on_its_page(emulator: Emulator, language: str, words: list[str]) -> None:
    """The form's call is shown step by step, with each callback's body, answer, status and attempt."""
    path = emulator.call(ending="005")
    emulator.finished(path)
    page = emulator.get(f"{path}?lang={language}").text
    callid = path.rpartition("/")[2]
    assert [word for word in words if word not in page] == []
    assert [page.count(f"<kbd>{key}</kbd>") for key in "12#"] == [2, 2, 2]
    assert page.count("&#34;voicekey_callback&#34;: {") == 3
    assert f"&#34;callid&#34;: &#34;{callid}&#34;" in page
    assert "&#34;result&#34;:0,&#34;errmsg&#34;:&#34;OK&#34;" in page
    assert "<dd>200</dd>" in page
    assert "to-come" not in page
    assert "http-equiv" not in page
    assert "disk full" in page


def test_list_shows_newest_call_first(emulator: Emulator) -> None:
    """The first page lists calls with number, course, outcome and how many callbacks were taken."""
    older, newer = emulator.call(number="13911110000"), emulator.call(number="+49 1512 3456002")
    emulator.finished(older)
    emulator.finished(newer)
    page = emulator.get().text
    assert page.index(newer) < page.index(older)
    row = page[page.index(newer) : page.index(older)]
    assert "+49 15123456002" in row
    assert "state-unanswered" in row
    assert "2 accepted" in row
    assert "not answered" in row
    assert "state-done" in page[page.index(older) :]


def test_code_is_sent_as_a_code(emulator: Emulator, receiver: Receiver) -> None:
    """A verification code comes back under the key of codes."""
    path = emulator.call(kind="code", code="246810", number="13722220000")
    assert "246810" in emulator.finished(path)
    taken = next(one for one in receiver.taken if one.callid in path)
    assert taken.type == "voicecode_callback"


def test_choosing_an_ending_changes_the_number(emulator: Emulator) -> None:
    """A choice in the select replaces the last three digits, and a link of the table makes that choice."""
    record = emulator.record(emulator.call(number="138 0013 8000", ending="108"))
    assert (record["nationcode"], record["mobile"]) == ("86", "13800138108")
    chosen = [one["value"] for one in Page(emulator.get("/?ending=108").text).all("option") if "selected" in one]
    assert "108" in chosen


@pytest.mark.parametrize(
    ("fields", "result", "code", "field"),
    [
        ({"text": "x" * 101}, "1036", "InvalidParameterValue.ContentLengthLimit", "text"),
        ({"text": ""}, "1004", "FailedOperation.FailResolvePacket", "text"),
        ({"kind": "code", "code": "12x"}, "3004", "FailedOperation.InvalidParameters", "code"),
        ({"number": "call me"}, "1016", "InvalidParameterValue.CalledNumberVerifyFail", "number"),
        ({"number": "+99912345678"}, "1016", "InvalidParameterValue.CalledNumberVerifyFail", "number"),
        ({"ending": SCRIPT}, "1016", "InvalidParameterValue.CalledNumberVerifyFail", "number"),
        ({"app_id": "1"}, "1019", "InvalidParameterValue.SdkAppidNotExist", "app_id"),
    ],
)
def test_refusal_stands_at_the_form(
    emulator: Emulator, fields: dict[str, str], result: str, code: str, field: str
) -> None:
    """The cloud's refusal is shown with both APIs' codes, the field at fault is marked, and what was typed is kept."""
    before = len(emulator.calls())
    answer = emulator.place(**fields)
    assert answer.status_code == 422
    assert f"<code>{result}</code> <code>{code}</code>" in answer.text
    page = Page(answer.text)
    assert [one["id"] for one in page.all("input", "select", "textarea") if "aria-invalid" in one] == [field]
    assert 'role="alert"' in answer.text
    assert fields.get("text", "disk full") in answer.text
    assert len(emulator.calls()) == before


def test_rejection_is_shown_in_chinese(emulator: Emulator) -> None:
    """A reader of Chinese reads in Chinese why."""
    assert "内容过长" in emulator.place({"Accept-Language": "zh"}, text="x" * 101).text


def test_what_the_account_lacks_is_refused(home: Path, receiver: Receiver) -> None:
    """Disabled, in arrears, used up, a forbidden word: the form is refused as a program would be, and it shows."""
    config = home / "apps.toml"
    config.write_text(
        "".join(
            f'[applications.{number}]\napp_key = "k{number}"\nname = "{name}"\n{setting}\n'
            for number, (name, setting) in enumerate(
                [
                    ("off", "disabled = true"),
                    ("owing", "in_arrears = true"),
                    ("one call", "balance = 1"),
                    (SCRIPT, 'sensitive_words = ["bomb"]'),
                ],
                1,
            )
        )
    )
    with Emulator(home, "--instant", "--config", config, "--callback-url", receiver.url) as emulator:
        assert "1 calls left" in emulator.get().text
        emulator.call(app_id="3")
        results = [
            emulator.place(app_id=app_id, text="a bomb").text.partition('class="codes"><code>')[2][:4]
            for app_id in "1234"
        ]
        page = emulator.get().text
    assert results == ["1020", "1033", "1031", "1002"]
    assert [word for word in ("disabled", "in arrears", "0 calls left", "one call", "bomb") if word not in page] == []
    assert SCRIPT not in page


def test_frequency_limit_is_shown(home: Path, receiver: Receiver) -> None:
    """With `--limits` the second call in 30 seconds is refused at the form."""
    with Emulator(home, "--instant", "--limits", "--callback-url", receiver.url) as emulator:
        emulator.call()
        assert "<code>1013</code> <code>LimitExceeded.DeliveryFrequencyLimit</code>" in emulator.place().text


def test_what_a_sender_says_is_text(emulator: Emulator) -> None:
    """Markup in the text of a call is shown, not obeyed."""
    page = emulator.finished(emulator.send(f"{SCRIPT}<img src=x>{{{{ 7 * 7 }}}}"))
    assert SCRIPT not in page
    assert "<img" not in page
    assert f"{ESCAPED}&lt;img src=x&gt;{{{{ 7 * 7 }}}}" in page


def test_what_a_receiver_says_is_text(home: Path, receive: Receive) -> None:
    """Markup in an answer and in the error made of it is shown, not obeyed."""
    hostile = receive(behaviour="refusing", status=500, answer=json.dumps({"result": 7, "errmsg": SCRIPT}))
    with Emulator(home, "--instant", "--retries", "0", "--callback-url", f"{hostile.url}?{SCRIPT}") as emulator:
        path = emulator.call()
        pages = [emulator.finished(path), emulator.get().text]
    for page in pages:
        assert SCRIPT not in page
        assert ESCAPED in page
    assert f"answered 500 with result 7: {ESCAPED}" in pages[0]
    assert "<dd>500</dd>" in pages[0]


def test_what_a_visitor_sends_is_text(emulator: Emulator) -> None:
    """Markup in the form, the path, the query and the Host comes back as text, whatever the answer's status."""
    answers = [
        emulator.place(text=SCRIPT + "x" * 100, number=SCRIPT, code=SCRIPT, app_id=SCRIPT),
        emulator.get(f"/calls/{SCRIPT}"),
        emulator.get(f"/?ending={SCRIPT}&page={SCRIPT}&lang={SCRIPT}"),
        emulator.get(Host=SCRIPT),
        emulator.get(Host="[bad"),
        emulator.get(Host="a:notaport"),
    ]
    assert [one.status_code for one in answers] == [422, 404, 200, 200, 200, 200]
    assert [one.url for one in answers if SCRIPT in one.text] == []
    assert ESCAPED in answers[0].text


def test_attempts_at_a_callback_stand_together(home: Path, receive: Receive) -> None:
    """A callback that was refused twice and then taken is one, with three numbered attempts."""
    moody = receive(behaviour="refusing", status=503, fail_first=2)
    with Emulator(home, "--instant", "--callback-url", moody.url) as emulator:
        page = emulator.finished(emulator.call())
        listed = emulator.get().text
    articles = [one for one in Page(page).all("article") if "callback" in (one["class"] or "")]
    assert len(articles) == 1
    assert [page.count(f"Attempt {number} ") for number in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert page.count("answered 503 with result 1: no") == 2
    assert "1 accepted" in listed
    assert "2 failed" in listed


def test_silent_receiver_is_shown_in_words(home: Path, receive: Receive) -> None:
    """Where nothing listens, the page says so, and asks whether something should."""
    gone = receive()
    gone.kill()
    with Emulator(home, "--instant", "--retries", "0", "--callback-url", gone.url) as emulator:
        path = emulator.call()
        page = emulator.finished(path)
        chinese = emulator.get(f"{path}?lang=zh").text
        listed = emulator.get().text
    assert "No response" in page
    assert "Is anything listening at the callback URL?" in page
    assert "没有应答" in chinese
    assert "state-pending" in listed


def test_answer_beside_the_contract_is_shown(home: Path, receive: Receive) -> None:
    """An answer that is not the contract's is shown with what was expected."""
    plain = receive(behaviour="refusing", status=200, answer="thank you")
    with Emulator(home, "--instant", "--retries", "0", "--callback-url", plain.url) as emulator:
        page = emulator.finished(emulator.call())
    assert "Not a valid response" in page
    assert "<code>thank you</code>" in page


def test_byte_order_mark_is_named(home: Path, receiver: Receiver) -> None:
    """A body that begins with a byte order mark is shown pretty, and said to have one."""
    with Emulator(home, "--instant", "--boms", "1", "--callback-url", receiver.url) as emulator:
        page = emulator.finished(emulator.call())
    assert "begins with a byte order mark" in page
    assert "&#34;voiceprompt_callback&#34;: {\n" in page


def test_living_call_refreshes_itself(home: Path, receiver: Receiver) -> None:
    """While a call lives its page shows what is to come, and reloads even without JavaScript."""
    with Emulator(home, "--speed", "1", "--callback-url", receiver.url) as emulator:
        path = emulator.call()
        page = emulator.get(path).text
        listed = emulator.get().text
        refused = emulator.place(text="").text
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in page
    assert "to come" in page
    assert "No callbacks yet." in page
    assert "data-live" in page
    assert "data-live" in listed
    assert "http-equiv" not in listed
    assert "data-reload" in listed
    assert "data-live" not in refused  # a reload would send the form again
    assert "data-reload" not in refused


def test_long_list_has_pages(home: Path, receiver: Receiver) -> None:
    """Fifty calls stand on a page; the older ones are a link away."""
    with Emulator(home, "--instant", "--callback-url", receiver.url) as emulator:
        paths = [emulator.call() for _ in range(51)]
        first, second, beyond = (emulator.get(f"/?page={number}").text for number in (1, 2, 99))
    assert sum(path in first for path in paths) == 50
    assert paths[0] not in first
    assert 'href="/?page=2#calls"' in first
    assert paths[0] in second
    assert 'href="/?page=1#calls"' in second
    assert paths[0] in beyond


def test_headers_let_nothing_else_in(emulator: Emulator) -> None:
    """Every answer of the page carries the policy, and nothing in it is loaded from or written inline elsewhere."""
    path = emulator.call()
    emulator.finished(path)
    answers = [emulator.get(one) for one in ("/", path, "/calls/none", "/static/emulator.css", "/static/emulator.js")]
    answers += [emulator.place(text=""), emulator.place({"Origin": "https://evil.example"})]
    assert {one.headers["content-security-policy"] for one in answers} == {POLICY}
    assert {one.headers["x-content-type-options"] for one in answers} == {"nosniff"}
    assert {one.headers["referrer-policy"] for one in answers} == {"same-origin"}
    for answer in answers:
        page = Page(answer.text)
        assert page.all("style", "iframe", "object") == []
        assert [one for one in page.elements if "style" in one.attributes] == []
        assert [name for one in page.elements for name in one.attributes if name.startswith("on")] == []
        loaded = [one.get("src") or one.get("href") or "" for one in page.all("script", "link", "img", "a", "form")]
        assert [url for url in loaded if not url.startswith(("/", "#", "data:")) and url] == []
        assert [one for one in page.all("script") if "src" not in one] == []
    assert [one.status_code for one in answers] == [200, 200, 404, 200, 200, 422, 403]
    assert emulator.get("/static/..%2fpage.py").status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "none", "Origin": "http://127.0.0.1:1"},
    ],
)
def test_other_sites_place_no_calls(emulator: Emulator, headers: dict[str, str]) -> None:
    """A form that another site sends through the developer's browser is refused, and calls nobody."""
    before = len(emulator.calls())
    assert emulator.place(headers).status_code == 403
    assert len(emulator.calls()) == before


def test_own_form_places_calls(emulator: Emulator) -> None:
    """What a browser adds to the page's own form is welcome."""
    assert emulator.place({"Origin": emulator.url, "Sec-Fetch-Site": "same-origin"}).status_code == 303


def test_huge_form_is_refused(emulator: Emulator) -> None:
    """A form of more than 64 KiB is not read to its end."""
    assert emulator.place(text="x" * 70_000).status_code == 413


@pytest.mark.parametrize(("language", "words"), [("en", "No such call"), ("zh", "没有这个呼叫")])
def test_unknown_call_is_not_found(emulator: Emulator, language: str, words: str) -> None:
    """A callid that nobody was given is a 404 in the reader's language."""
    answer = emulator.get(f"/calls/{uuid.uuid4()}", **{"Accept-Language": language})
    assert answer.status_code == 404
    assert words in answer.text


def test_page_leaves_the_api_alone(emulator: Emulator) -> None:
    """API 3.0 still answers at the page's path."""
    answer = httpx.post(f"{emulator.url}/", content=b"{}", trust_env=False, verify=False)
    assert answer.json()["Response"]["Error"]["Code"] == "MissingParameter"


def test_page_can_be_used_without_eyes_or_mouse(emulator: Emulator) -> None:
    """Every control has a label, every table headers with a scope, and headings skip no level."""
    path = emulator.call(ending="005")
    emulator.finished(path)
    for answer in (emulator.get(), emulator.get(path)):
        page = Page(answer.text)
        labelled = {one.get("for") for one in page.all("label")}
        controls = [one for one in page.all("input", "select", "textarea") if one.get("type") != "radio"]
        assert [one["id"] for one in controls if one["id"] not in labelled] == []
        assert [one for one in page.all("th") if "scope" not in one] == []
        ids = [one.attributes["id"] for one in page.elements if "id" in one.attributes]
        assert len(ids) == len(set(ids))
        named = [
            name
            for one in page.elements
            for attribute in ("aria-labelledby", "aria-describedby")
            for name in (one.attributes.get(attribute) or "").split()
        ]
        assert set(named) <= set(ids)
        levels = [int(one.tag[1]) for one in page.elements if one.tag in {"h1", "h2", "h3", "h4", "h5", "h6"}]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert [step for step in itertools.pairwise(levels) if step[1] > step[0] + 1] == []
        assert page.all("main")
