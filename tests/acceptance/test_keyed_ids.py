"""Ids: the same wherever a callback is met, and no number can be worked out of them."""

import json
from collections.abc import Iterable
from pathlib import Path

import msgspec
from console_client import make_key
from gateway import Gateway, prompt
from receivers.process import Receive, Taken
from receivers.webhook_receiver import Business, relaying

from answerback.domain.calls import callback_fingerprint
from answerback.tencent.callbacks import parse

NUMBER = "13788881234"
TRACED = {"ANSWERBACK_TRACING__ENDPOINT": "http://127.0.0.1:9"}


def bare_hashes(callid: str) -> Iterable[str]:
    """What an id would be without a key, for each number that fits one whose last four digits are hidden."""
    reported = parse(prompt(callid))
    for last in range(10_000):
        yield callback_fingerprint("default", msgspec.structs.replace(reported, mobile=f"{NUMBER[:-4]}{last:04}")).hex()


def reported_ids(taken: Taken) -> tuple[str, str, str]:
    """The message id, the trace's id and the fingerprint that a receiver got."""
    fingerprint: str = json.loads(taken.body)["data"]["callback"]["fingerprint"]
    return taken.id, taken.headers["traceparent"].split("-")[1], fingerprint


def test_ids_betray_no_number_and_stay(data_dir: Path, receive: Receive, callid: str) -> None:
    """Who may see no number sees them all and cannot try numbers; a restart, a replay and another secret keep the message id."""
    receiver = receive()
    with Gateway(data_dir, settings=relaying() | TRACED) as gateway:
        business = Business(gateway)
        business.add("crm", receiver.url)
        business.hears(prompt(callid, mobile=NUMBER))
        message_id, trace, fingerprint = reported_ids(*receiver.await_taken(1))
        one = business.await_state("crm", callid, "delivered")
        headers = {"Authorization": f"Bearer {make_key(gateway, 'looks', 'viewer')}"}
        (callback,) = gateway.client.get(f"/v1/calls/{callid}/callbacks", headers=headers).json()["items"]
        (shown,) = gateway.client.get("/v1/deliveries", headers=headers).json()["items"]
        assert (callback["fingerprint"], shown["message_id"]) == (fingerprint, message_id)
        assert trace == fingerprint
        ends = {fingerprint[:16], message_id.rpartition("_")[2]}
        assert ends == {fingerprint[:16]}
        assert not any(fingerprint.startswith(bare[:8]) for bare in bare_hashes(callid))
        assert gateway.terminate() == 0
        gateway.start()
        business.asks("POST", f"deliveries/{one['id']}/replay")
        assert reported_ids(receiver.await_taken(2)[-1]) == (message_id, trace, fingerprint)
        assert gateway.terminate() == 0
    (data_dir / "server-secret").unlink()
    with Gateway(data_dir, settings=relaying() | TRACED) as gateway:
        Business(gateway).asks("POST", f"deliveries/{one['id']}/replay")
        again, other_trace, other_fingerprint = reported_ids(receiver.await_taken(3)[-1])
        assert again == message_id
        assert other_trace == other_fingerprint != fingerprint
        assert gateway.post(prompt(callid, mobile=NUMBER)).status_code == 200
        (callback,) = gateway.items(f"/v1/calls/{callid}/callbacks")
        assert callback["duplicates"] == 1, "a repeat is known by what has no key"
