"""One-time links into the console: each opens once, for ten minutes, with one key's rights, in whichever process."""

import asyncio
import json
import os
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from console_client import make_key, refused, visible_text
from contract.databases import ledger_database
from forking import COMMAND, launch
from gateway import START_TIMEOUT_S, Gateway, environment, run

from answerback.auth import sign_in_links
from answerback.auth.api_keys import AdminKey, KeyVerifier
from answerback.auth.attempt_limits import ADDRESS_BURST
from answerback.auth.server_secret import ServerSecret
from answerback.auth.sign_in_links import SignInLinks
from answerback.config import load_settings
from answerback.ledger.admin.audit import CLI_ACTOR

FORM = "/console/sign-in/link"
OUTSIDE = "https://ops.example.com/answerback"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose log is read by programs."""
    home = tmp_path_factory.mktemp("links")
    with Gateway(home / "data", settings={"ANSWERBACK_LOG__FORMAT": "json"}) as running:
        yield running


def link_from(gateway: Gateway, *options: str) -> str:
    """What `answerback console` prints."""
    done = run("console", "--data-dir", gateway.data_dir, *options, cwd=gateway.data_dir.parent)
    assert done.returncode == 0, done.stderr
    link = done.stdout.strip()
    assert link.startswith(f"{gateway.url}{FORM}#once."), link
    return link


def browser(gateway: Gateway, language: str = "en") -> httpx.Client:
    """A browser that nobody has signed in with."""
    headers = {"Accept-Language": language}
    return httpx.Client(base_url=gateway.url, headers=headers, timeout=30.0, trust_env=False, verify=False)


def open_link(client: httpx.Client, link: str, **headers: str) -> httpx.Response:
    """Open a link and press the button."""
    parts = urlsplit(link)
    assert client.get(parts.path).status_code == 200
    return client.post(parts.path, data={"link": parts.fragment}, headers=headers)


def refusals(gateway: Gateway, link: str) -> list[str]:
    """What a refused link says, in English and in Chinese."""
    said = []
    for language in ("en", "zh"):
        with browser(gateway, language) as client:
            page = open_link(client, link)
            assert page.status_code == 422
            assert "set-cookie" not in page.headers
            found = re.search(r'role="alert"[^>]*>([^<]+)<', page.text)
            assert found is not None
            said.append(found[1])
    return said


def events(gateway: Gateway) -> list[tuple[str, str, str]]:
    """Actor, action and target of what was done with links."""
    return gateway.rows("SELECT actor, action, target FROM audit_events WHERE action LIKE 'sign_in%' ORDER BY id")


def test_a_link_signs_in_once(place: Gateway) -> None:
    """Looking at it uses up nothing; the first press of the button does. Both the link and its use are audit events, neither shows it."""
    before = len(events(place))
    link = link_from(place)
    code = urlsplit(link).fragment
    with browser(place) as client:
        for _ in range(3):
            assert client.head(FORM).status_code == client.get(FORM).status_code == 200
            assert client.get("/console").status_code == 303, "nobody is signed in by a preview"
        answer = open_link(client, link)
        assert (answer.status_code, answer.headers["location"]) == (303, "/console")
        assert client.get("/console/settings").status_code == 200
    assert refusals(place, link) == [
        "This link was used before: it works once. Run answerback console for another.",
        "该链接已被使用过，仅可使用一次。请运行 answerback console 重新获取。",
    ]
    assert events(place)[before:] == [
        ("admin", "sign_in_link_created", "for admin"),
        ("admin", "sign_in_link_used", "to the console"),
    ]
    assert code not in place.stderr
    assert not any(code.encode() in file.read_bytes() for file in place.data_dir.iterdir())


def test_the_whole_link_may_be_pasted(place: Gateway) -> None:
    """A browser that runs no script shows a field for it."""
    link = link_from(place)
    with browser(place) as client:
        assert client.post(FORM, data={"link": f" {link}\n"}).status_code == 303


def test_of_many_at_once_one_gets_in(place: Gateway) -> None:
    """Whoever comes second is told so, however little later."""
    link = link_from(place)

    def press(_: int) -> int:
        with browser(place) as client:
            return client.post(FORM, data={"link": link}).status_code

    with ThreadPoolExecutor(5) as pool:  # few enough not to be limited as wrong ones
        assert sorted(pool.map(press, range(5))) == [303] + [422] * 4


def test_a_link_survives_a_kill_and_its_use_does(data_dir: Path) -> None:
    """A gateway that is started again opens the links of the one before it, and none twice."""
    with Gateway(data_dir) as gateway:
        used, unused = link_from(gateway), link_from(gateway)
        with browser(gateway) as client:
            assert open_link(client, used).status_code == 303
        gateway.kill()
        gateway.start()
        assert "used before" in refusals(gateway, used)[0]
        with browser(gateway) as client:
            assert open_link(client, unused).status_code == 303


def test_every_process_of_a_ledger_opens_it_and_one_does(tmp_path: Path) -> None:
    """What one has made the other opens; what one has opened the other refuses."""
    settings = {
        "ANSWERBACK_LEDGER__URL": ledger_database(tmp_path),
        "ANSWERBACK_SERVER__SECRET": "the same in both processes of this test",
        "ANSWERBACK_SERVER__ADMIN_KEY": "the admin key of both of the processes",
    }
    with (
        Gateway(tmp_path / "one", settings=settings) as one,
        Gateway(tmp_path / "two", settings={**settings, "ANSWERBACK_SERVER__ROLES": "console"}) as two,
    ):
        headers = {"Authorization": f"Bearer {settings['ANSWERBACK_SERVER__ADMIN_KEY']}"}
        links = [one.client.post("/v1/sign-in-links", json={}, headers=headers).json()["url"] for _ in range(2)]
        for link, (first, second) in zip(links, [(one, two), (two, one)], strict=True):
            with browser(first) as client:
                assert open_link(client, link).status_code == 303
            assert "used before" in refusals(second, link)[0]


def test_a_link_expires(place: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """After ten minutes it opens nothing, and says so; this one is made with the gateway's own secret, as of before."""

    class Unasked:
        async def execute(self, _command: Any) -> None:
            """It is not to be told."""

    monkeypatch.setattr(sign_in_links, "LIFETIME", timedelta(seconds=-1))
    settings = load_settings(None, {"server": {"data_dir": place.data_dir}})
    admin = AdminKey.load_or_create(place.data_dir)
    unasked: Any = Unasked()
    links = SignInLinks(
        KeyVerifier(admin, unasked), ServerSecret.load_or_create(settings.server.data_dir).session_key, unasked
    )
    late = asyncio.run(links.create(CLI_ACTOR, admin.holder))
    assert refusals(place, late.url(place.url)) == [
        "This link has expired: it works for ten minutes. Run answerback console for another.",
        "该链接已过期，有效期为十分钟。请运行 answerback console 重新获取。",
    ]


def test_a_link_has_its_keys_rights(place: Gateway) -> None:
    """A viewer's link makes a viewer; a revoked key's link opens nothing; of keys that are not there, there is none."""
    make_key(place, "looker", "viewer")
    link, later = link_from(place, "--key", "looker"), link_from(place, "--key", "looker")
    with browser(place) as client:
        assert open_link(client, link).status_code == 303
        page = visible_text(client.get("/console/settings").text)
        assert ("looker" in page, "Audit log" in page) == (True, False)
        assert client.get("/console/endpoint/new").status_code == 403
    revoked = place.client.delete("/v1/keys/looker", headers={"Authorization": f"Bearer {place.key}"})
    assert revoked.status_code == 204
    assert refusals(place, later) == [
        "This link is not valid here: it is incomplete or from another gateway, or its key was revoked.",
        "该链接在此无效：可能不完整、来自其他网关，或其密钥已被吊销。",
    ]
    done = run("console", "--data-dir", place.data_dir, "--key", "looker", cwd=place.data_dir.parent)
    assert (done.returncode, done.stdout) == (1, "")
    assert "key: there is no key looker" in done.stderr


def test_nobody_gets_more_than_they_have(place: Gateway) -> None:
    """Every key may make a link for itself; an admin for others, but for full numbers only one who sees them."""
    keys = {
        "watcher": make_key(place, "watcher", "viewer"),
        "chief": make_key(place, "chief", "admin"),
        "seer": make_key(place, "seer", "viewer", full_numbers=True),
    }

    def ask(by: str, key: str | None = None) -> tuple[int, str]:
        body = {} if key is None else {"key": key}
        answer = place.client.post("/v1/sign-in-links", json=body, headers={"Authorization": f"Bearer {keys[by]}"})
        return answer.status_code, str(answer.json().get("key"))

    assert [ask("watcher"), ask("watcher", "watcher")] == [(201, "watcher")] * 2
    assert [ask("watcher", "seer"), ask("chief", "seer"), ask("chief", "admin")] == [
        (403, "None"),
        (403, "None"),
        (404, "None"),
    ]
    assert ask("chief", "watcher") == (201, "watcher")


def test_wrong_links_are_bounded_and_no_right_one_is_locked_out(data_dir: Path) -> None:
    """They count as wrong keys do, together with them; they are logged without the link."""
    with Gateway(data_dir, settings={"ANSWERBACK_LOG__FORMAT": "json"}) as gateway:
        link = link_from(gateway)
        wrong = link[:-4] + "AAAA"
        with browser(gateway) as client:
            statuses = [client.post(FORM, data={"link": wrong}).status_code for _ in range(ADDRESS_BURST)]
            assert statuses == [422] * ADDRESS_BURST
            limited = refused(lambda: client.post(FORM, data={"link": wrong}))
            assert limited.headers["retry-after"].isdigit()
            assert client.post("/console/sign-in", data={"key": "x"}).status_code == 429
            assert open_link(client, link).status_code == 303
        lines = [line for line in map(json.loads, gateway.stderr.splitlines()) if line["event"] == "sign_in_failed"]
        assert {(line["by"], line["address"]) for line in lines} == {("link", "127.0.0.1")}
        assert "once." not in gateway.stderr


def test_no_other_site_signs_anybody_in(place: Gateway) -> None:
    """A form of another site is refused, and the link stays good for its owner."""
    link = link_from(place)
    with browser(place) as client:
        assert open_link(client, link, Origin="https://evil.example").status_code == 403
        assert client.get("/console").status_code == 303
        assert open_link(client, link).status_code == 303


def test_a_use_that_cannot_be_written_down_does_not_happen(place: Gateway) -> None:
    """Without its event nobody is signed in, and the link can be tried again."""
    link = link_from(place)
    with closing(sqlite3.connect(place.ledger, timeout=10)) as ledger, browser(place) as client:
        with ledger:
            ledger.execute(
                "CREATE TRIGGER no_log BEFORE INSERT ON audit_events BEGIN INSERT INTO nowhere VALUES (1); END"
            )
        try:
            assert open_link(client, link).status_code == 503
        finally:
            with ledger:
                ledger.execute("DROP TRIGGER no_log")
        assert open_link(client, link).status_code == 303


def test_a_link_leads_to_the_public_url(tmp_path: Path) -> None:
    """With the path that a proxy puts in front."""
    settings = {"ANSWERBACK_SERVER__PUBLIC_URL": f"{OUTSIDE}/"}
    with Gateway(tmp_path / "data", settings=settings) as gateway:
        done = run("console", "--data-dir", gateway.data_dir, cwd=tmp_path)
        assert done.stdout.startswith(f"{OUTSIDE}/console/sign-in/link#once.admin.")


def test_a_start_at_a_terminal_prints_one(tmp_path: Path) -> None:
    """`serve` shows a link beside the console's URL, both as people reach it; its output in a file or a journal has none."""
    settings = {"ANSWERBACK_SERVER__PUBLIC_URL": f"{OUTSIDE}/"}
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "wb") as terminal, (tmp_path / "err").open("wb") as err:
        serving = launch(
            ["serve", "--port", "0"],
            cwd=tmp_path,
            env=environment(settings),
            stdout=terminal,
            stderr=err,
            program=COMMAND,
        )
    try:
        shown = b""
        while b"application.\r\n" not in shown:  # the last that it prints
            shown += os.read(ours, 4096)
        printed = re.sub(r"\x1b\[\d+m", "", shown.decode())  # a label is bold at a terminal
        assert re.search(rf"Console +{OUTSIDE}/console\r\n", printed), printed
        listening = re.search(r"Listening +(http://127\.0\.0\.1:\d+)\r\n", printed)
        link = re.search(rf"{OUTSIDE}(/console/sign-in/link)#(once\.admin\.\S+)", printed)
        assert listening is not None, printed
        assert link is not None, printed
        with httpx.Client(base_url=listening[1], trust_env=False, verify=False) as client:
            assert client.post(link[1], data={"link": link[2]}).status_code == 303
    finally:
        serving.kill()
        serving.wait(START_TIMEOUT_S)
        os.close(ours)
