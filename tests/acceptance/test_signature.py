"""The signature of a webhook, checked by those who define it: the libraries of Standard Webhooks for Python and Node."""

import base64
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nodejs as node
import pytest
from gateway import failure, key_press, prompt
from receivers.process import Receiver, Taken
from receivers.webhook_receiver import Business
from standardwebhooks import Webhook, WebhookVerificationError

LIBRARY = "standardwebhooks@1.1.1"
VERIFY = """
const { Webhook } = require("standardwebhooks");
const said = JSON.parse(require("fs").readFileSync(0, "utf8")).map(({ secret, body, headers }) => {
  try {
    return new Webhook(secret).verify(Buffer.from(body, "base64"), headers);
  } catch (error) {
    return error.constructor.name;
  }
});
process.stdout.write(JSON.stringify(said));
"""
REFUSED = "WebhookVerificationError"
_BODIES = [
    prompt("call-1", mobile="13788888888"),
    failure("call-2", failure_reason="空号 \u2028 \x7f 🛰"),
    key_press("call-3", "#"),
    b"\xef\xbb\xbf \r\n" + prompt('call-4 "quoted" \\ </script>'),
]


@pytest.fixture(scope="module")
def reported(new_business: Callable[[], Business], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Taken]]:
    """A secret and the webhooks that were signed by it."""
    business = new_business()
    with Receiver(tmp_path_factory.mktemp("signed")) as receiver:
        secret: str = business.add("crm", receiver.url)["secret"]
        business.hears(*_BODIES)
        return secret, receiver.await_taken(len(_BODIES))


@pytest.fixture(scope="session")
def node_modules(pytestconfig: pytest.Config) -> Path:
    """Where the library for Node is."""
    return node.install(pytestconfig, LIBRARY)


def by_node(modules: Path, *cases: tuple[str, bytes, Mapping[str, str]]) -> list[Any]:
    """What the library for Node reads of each webhook, or the name of its error."""
    given = [
        {"secret": secret, "body": base64.b64encode(body).decode(), "headers": dict(headers)}
        for secret, body, headers in cases
    ]
    said: list[Any] = node.run(VERIFY, modules, given)
    return said


def spoilt(one: Taken) -> dict[str, tuple[bytes, dict[str, str]]]:
    """The same webhook with something that does not belong to it."""
    old = str(int(time.time()) - 3600)
    return {
        "a tampered body": (one.body.replace(b'"answered"', b'"failed"'), one.headers),
        "one byte more": (one.body + b" ", one.headers),
        "another id": (one.body, one.headers | {"webhook-id": "dlv_1_000000000000"}),
        "another time": (one.body, one.headers | {"webhook-timestamp": str(int(time.time()) + 1)}),
        "too old": (one.body, one.headers | {"webhook-timestamp": old}),
        "not signed": (one.body, one.headers | {"webhook-signature": ""}),
    }


def test_python_verifies_what_is_delivered(reported: tuple[str, list[Taken]]) -> None:
    """The library for Python takes each webhook and reads what was sent."""
    secret, taken = reported
    for one in taken:
        assert Webhook(secret).verify(one.body, one.headers) == one.document


def test_python_rejects_what_was_not_delivered(reported: tuple[str, list[Taken]]) -> None:
    """With another body, id, time or secret there is no proof."""
    secret, taken = reported
    for body, headers in spoilt(taken[0]).values():
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(bytes(32)).decode()).verify(taken[0].body, taken[0].headers)


def test_node_verifies_what_is_delivered(reported: tuple[str, list[Taken]], node_modules: Path) -> None:
    """The library for Node takes each webhook and reads what was sent."""
    secret, taken = reported
    assert by_node(node_modules, *[(secret, one.body, one.headers) for one in taken]) == [one.document for one in taken]


def test_node_rejects_what_was_not_delivered(reported: tuple[str, list[Taken]], node_modules: Path) -> None:
    """With another body, id, time or secret there is no proof."""
    secret, taken = reported
    cases = [(secret, body, headers) for body, headers in spoilt(taken[0]).values()]
    cases.append(("whsec_" + base64.b64encode(bytes(32)).decode(), taken[0].body, taken[0].headers))
    assert by_node(node_modules, *cases) == [REFUSED] * len(cases)


def test_each_attempt_is_signed_anew(business: Business, tmp_path: Path) -> None:
    """An attempt much later is signed with its own time: a receiver that refuses old messages takes it."""
    with Receiver(tmp_path, behaviour="refusing", fail_first=1, retry_after=2) as receiver:
        secret = business.add("crm", receiver.url)["secret"]
        began_s = time.time()
        business.hears(prompt(f"{business.channel}-1"))
        first, second = receiver.await_taken(2)
        for one in (first, second):
            Webhook(secret).verify(one.body, one.headers)
        signed_s = [int(one.headers["webhook-timestamp"]) for one in (first, second)]
        assert began_s - 1 < signed_s[0] <= first.at_s < signed_s[1] <= second.at_s
