"""People at the console, as far as a browser without script goes: signed in, they read pages and send forms."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from html import unescape

import httpx
from gateway import Gateway

_TAGS = re.compile(r"<(?:script|style).*?</(?:script|style)>|<[^>]*>", re.DOTALL)


class ConsoleClient:
    """Somebody who is signed in."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def get(self, path: str, status: int = 200, /, **query: str) -> str:
        """The page at `path` below /console, as markup."""
        answer = self.client.get(f"/console/{path}", params=query or None, follow_redirects=True)
        assert answer.status_code == status, f"{path}: {answer.status_code} {visible_text(answer.text)[:500]}"
        return answer.text

    def text(self, path: str, status: int = 200, /, **query: str) -> str:
        """The same as the words on it."""
        return visible_text(self.get(path, status, **query))

    def post(self, path: str, csrf: str | None = None, **fields: str | list[str]) -> httpx.Response:
        """The answer to a form that is sent to `path`, with the session's token unless another is given."""
        return self.client.post(f"/console/{path}", data={"csrf": self.token if csrf is None else csrf, **fields})

    @property
    def token(self) -> str:
        """What makes a form one of this session's."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.get("calls"))
        assert found is not None
        return found[1]


@contextmanager
def signed_in(gateway: Gateway, key: str | None = None, language: str = "en") -> Iterator[ConsoleClient]:
    """Somebody with a key, by default the admin's, who reads a language."""
    headers = {"Accept-Language": language}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=30.0, trust_env=False, verify=False) as client:
        answer = client.post("/console/sign-in", data={"key": key or gateway.key, "next": "/console"})
        assert answer.status_code == 303, answer.text
        yield ConsoleClient(client)


def make_key(gateway: Gateway, name: str, role: str, *, full_numbers: bool = False) -> str:
    """A new key."""
    body = {"name": name, "role": role, "full_numbers": full_numbers}
    answer = gateway.client.post("/v1/keys", json=body, headers={"Authorization": f"Bearer {gateway.key}"})
    assert answer.status_code == 201, answer.text
    key: str = answer.json()["key"]
    return key


def refused(try_key: Callable[[], httpx.Response]) -> httpx.Response:
    """The answer that there were too many wrong keys; on a slow machine a try may be free again before it."""
    for _ in range(3):
        if (answer := try_key()).status_code == 429:
            return answer
    raise AssertionError(answer.text)


def zone_at_noon() -> str:
    """A time zone where it is about noon: what came in a moment ago came in today, whenever that is."""
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"


def visible_text(markup: str) -> str:
    """What a reader sees of a page, in one line."""
    return " ".join(unescape(_TAGS.sub(" ", markup)).split())
