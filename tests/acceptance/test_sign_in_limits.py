"""Wrong keys, at the console and at /v1: bounded by address and in all, and nobody is locked out by others."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from console_client import make_key, refused, signed_in, visible_text
from gateway import Gateway

from answerback.auth.api_keys import generate_api_key
from answerback.auth.attempt_limits import ADDRESS_BURST, ADDRESS_PER_S, TOTAL_BURST

PROXY = "127.0.0.9"
SETTINGS = {
    "ANSWERBACK_LOG__FORMAT": "json",
    "ANSWERBACK_SERVER__TRUSTED_PROXIES": f'["{PROXY}/32"]',
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway behind a proxy at 127.0.0.9, and open to this machine's other addresses as well."""
    with Gateway(tmp_path / "data", settings=SETTINGS) as running:
        yield running


def caller(gateway: Gateway, address: str) -> httpx.Client:
    """Somebody at another address."""
    transport = httpx.HTTPTransport(local_address=address, verify=False)
    return httpx.Client(base_url=gateway.url, transport=transport, timeout=30.0, headers={"Accept-Language": "en"})


def ask(client: httpx.Client, key: str, **headers: str) -> httpx.Response:
    """Show a key to /v1."""
    return client.get("/v1/me", headers={"Authorization": f"Bearer {key}", **headers})


def sign_in(client: httpx.Client, key: str, **headers: str) -> httpx.Response:
    """Show a key to the console."""
    return client.post("/console/sign-in", data={"key": key}, headers=headers)


def failures(gateway: Gateway) -> list[dict[str, Any]]:
    """What the log says of wrong keys."""
    lines = map(json.loads, gateway.stderr.splitlines())
    return [line for line in lines if line["event"] == "sign_in_failed"]


def test_an_address_that_tries_keys_is_refused_and_others_are_not(place: Gateway) -> None:
    """At both doors alike, in both languages, with the time to wait; who has the right key or a session gets in from there, too."""
    known, fresh = make_key(place, "known", "viewer"), make_key(place, "fresh", "viewer")
    wrong, began_s = generate_api_key(), time.monotonic()
    with caller(place, "127.0.0.2") as bad, caller(place, "127.0.0.3") as good, signed_in(place, known) as person:
        for n in range(ADDRESS_BURST):
            answer = ask(bad, wrong if n % 4 else "junk") if n % 2 else sign_in(bad, wrong)
            assert answer.status_code == (401 if n % 2 else 422)
        answer = refused(lambda: ask(bad, wrong))
        assert "too many wrong keys" in answer.json()["detail"]
        assert 1 <= int(answer.headers["retry-after"]) <= 7
        page = refused(lambda: sign_in(bad, wrong))
        assert page.headers["retry-after"].isdigit()
        assert "Too many wrong keys" in visible_text(page.text)
        page = refused(lambda: sign_in(bad, wrong, **{"Accept-Language": "zh"}))
        assert "错误的密钥尝试过多" in visible_text(page.text)
        assert ask(bad, fresh).status_code == 429, "nobody has seen it open anything here"
        spoofed = {"X-Forwarded-For": "198.51.100.7"}
        refused(lambda: ask(bad, wrong, **spoofed))
        assert [ask(bad, key).status_code for key in (place.key, known)] == [200, 200]
        assert sign_in(bad, place.key).status_code == 303
        bad.cookies.update(person.client.cookies)
        assert bad.get("/console/calls").status_code == 200
        assert bad.get("/v1/me").status_code == 401, "no key is no try"
        assert ask(good, wrong).status_code == 401
        assert ask(good, fresh).status_code == 200
        assert ask(bad, fresh).status_code == 200, "now it is known"
        logged = failures(place)
    *tries, last = logged
    assert ({line["address"] for line in tries}, last["address"]) == ({"127.0.0.2"}, "127.0.0.3")
    assert ADDRESS_BURST <= len(tries) <= ADDRESS_BURST + ADDRESS_PER_S * (time.monotonic() - began_s)
    assert {line["by"] for line in logged} == {"api", "console"}
    assert [line["refused_before"] for line in tries[:ADDRESS_BURST]] == [0] * ADDRESS_BURST
    assert sum(line["refused_before"] for line in logged) == 5
    assert not any(key in place.stderr for key in (wrong, known, fresh, place.key))


def test_a_flood_from_everywhere_is_bounded_and_locks_nobody_out(place: Gateway) -> None:
    """Through the proxy each address is its own; together they get so many tries and no more, and the log no more lines."""
    known = make_key(place, "known", "viewer")
    with caller(place, PROXY) as proxy, caller(place, "127.0.0.3") as good:
        assert ask(good, known).status_code == 200
        wrong = generate_api_key()
        sources = [{"X-Forwarded-For": f"6.6.6.6, 198.51.{n >> 8}.{n & 255}"} for n in range(3 * TOTAL_BURST)]
        statuses = [ask(proxy, wrong, **source).status_code for source in sources]
        made = statuses.count(401)
        assert statuses[:TOTAL_BURST] == [401] * TOTAL_BURST
        assert set(statuses) == {401, 429}
        assert [ask(good, key).status_code for key in (place.key, known)] == [200, 200]
        assert sign_in(good, place.key).status_code == 303
        logged = failures(place)
    assert len(logged) == made < 2 * TOTAL_BURST
    assert logged[0]["address"] == "198.51.0.0"
    assert "6.6.6.6" not in place.stderr
