"""Events as they happen, whatever is killed meanwhile: `/v1/events`, `answerback listen` and `answerback tail`."""

import json
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest
from console_client import make_key
from forking import Forked, launch
from gateway import Gateway, environment, failure, prompt, run
from ports import port_of, reserve_port
from receivers.process import Receive, await_true
from receivers.webhook_receiver import relaying

from answerback.client import Client
from answerback.schemas.events import CallbackActivityView

MOBILE, MASKED = "13912345678", "139****5678"


@pytest.fixture
def gateway(data_dir: Path) -> Iterator[Gateway]:
    """A gateway that keeps its address over a restart."""
    settings = relaying() | {"ANSWERBACK_INTAKE__SHUTDOWN_TIMEOUT_S": "60"}
    with (
        reserve_port() as port,
        Gateway(data_dir, settings=settings, options=["--port", str(port_of(port))]) as running,
    ):
        yield running


class Listener:
    """A command that follows events."""

    def __init__(self, process: Forked, output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def lines(self) -> list[str]:
        """What it has shown, in whole lines."""
        return self._output.read_text().rpartition("\n")[0].splitlines()

    def await_lines(self, count: int, *, holding: str = "") -> list[str]:
        """Wait until it has shown so many lines."""
        await_true(lambda: sum(holding in line for line in self.lines) >= count)
        return [line for line in self.lines if holding in line]


@contextmanager
def following(gateway: Gateway, *arguments: str, environ: dict[str, str] | None = None) -> Iterator[Listener]:
    """Run `listen` or `tail` until it is connected."""
    home = gateway.data_dir.parent
    output, errors = home / "listen.out", home / "listen.err"
    with output.open("ab") as out, errors.open("wb") as err:
        process = launch(
            [*arguments, "--data-dir", str(gateway.data_dir)],
            cwd=home,
            env=environment(environ),
            stdout=out,
            stderr=err,
        )
    try:
        await_true(lambda: b"Ctrl-C" in errors.read_bytes() or process.poll() is not None)
        assert process.poll() is None, errors.read_text()
        yield Listener(process, output)
    finally:
        process.kill()
        process.wait()


def post(gateway: Gateway, callids: Sequence[str]) -> None:
    """A callback about each call comes in."""
    for callid in callids:
        gateway.post(prompt(callid, mobile=MOBILE))


def test_a_gateway_is_killed_in_the_middle_of_a_stream(gateway: Gateway) -> None:
    """Who listened is connected again by itself, and has each event once."""
    before, after = ([f"{name}-{number}" for number in range(120)] for name in ("before", "after"))
    seen: list[str] = []
    is_connected = threading.Event()

    def listen() -> None:
        with Client(gateway.url, gateway.key) as client:
            for event in islice(client.events(after="0", type="callback"), 240):
                assert isinstance(event, CallbackActivityView)
                seen.append(event.callid)
                is_connected.set()

    listening = threading.Thread(target=listen, daemon=True)
    post(gateway, before[:60])
    listening.start()
    assert is_connected.wait(15)
    post(gateway, before[60:])
    gateway.kill()
    gateway.start()
    post(gateway, after)
    listening.join(30)
    assert seen == before + after


def test_an_open_stream_holds_up_no_stop(gateway: Gateway) -> None:
    """SIGTERM ends it in due form, and the gateway long before its drain is over."""
    headers = {"Authorization": f"Bearer {gateway.key}"}
    with gateway.client.stream("GET", "/v1/events?masked=true", headers=headers) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        gateway.send_signal(signal.SIGTERM)
        assert not any(line.startswith("data:") for line in lines)
    assert gateway.wait() == 0


def test_callbacks_are_forwarded_as_the_cloud_sent_them(gateway: Gateway, receive: Receive) -> None:
    """Byte by byte, with what was answered in a line each; a URL that is away is shown, and holds up nothing."""
    receiver = receive()
    body = prompt("first", mobile=MOBILE) + b"\r\n "
    with following(
        gateway, "listen", "--forward-to", receiver.url, "--after", "0", "--outcome", "answered"
    ) as listener:
        gateway.post(body)
        (taken,) = receiver.await_taken(1)
        assert (taken.body, taken.headers["content-type"]) == (body, "application/json")
        (line,) = listener.await_lines(1)
        assert MASKED in line
        assert "-> 200 result 0" in line
        receiver.kill()
        gateway.post(failure("left-out"))
        post(gateway, ["lost"])
        assert "-> failed Connection refused" in listener.await_lines(2)[1]
        receiver.start()
        post(gateway, ["next"])
        listener.await_lines(3)
    assert receiver.callids == ["first", "next"]


def test_a_listener_is_killed_and_goes_on(gateway: Gateway, receive: Receive) -> None:
    """By the cursor that it has kept: nothing is left out, and what was shown does not come again."""
    receiver = receive()
    kept = gateway.data_dir.parent / "cursor"
    arguments = ("listen", "--forward-to", receiver.url, "--cursor-file", str(kept), "--after", "0")
    first, second = (["one", "two", "three"], ["four", "five"])
    with following(gateway, *arguments):
        post(gateway, first)
        receiver.await_taken(3)
        await_true(lambda: kept.exists() and kept.read_text() == "3-0\n")
    post(gateway, second[:1])
    with following(gateway, *arguments):
        post(gateway, second[1:])
        receiver.await_taken(5)
    assert receiver.callids == first + second


def test_a_gateway_and_its_listener(gateway: Gateway, receive: Receive) -> None:
    """A gateway that is killed while callbacks are forwarded leaves no gap."""
    receiver = receive()
    with following(gateway, "listen", "--forward-to", receiver.url, "--after", "0"):
        post(gateway, ["a", "b"])
        receiver.await_taken(1)
        gateway.kill()
        gateway.start()
        post(gateway, ["c"])
        receiver.await_taken(3)
    assert receiver.callids == ["a", "b", "c"]


def test_a_key_without_numbers_forwards_nothing(gateway: Gateway) -> None:
    """It would not be what the cloud sent. Shown, with masks, it may be."""
    key = make_key(gateway, "looker", "viewer")
    arguments = ["listen", "--url", gateway.url, "--forward-to", "http://127.0.0.1:9/"]
    done = run(*arguments, cwd=gateway.data_dir.parent, settings={"ANSWERBACK_KEY": key})
    assert done.returncode == 1
    assert "--forward-to: the key may not see full numbers" in done.stderr
    file = gateway.data_dir.parent / "key"
    file.write_text(key)
    with following(gateway, "listen", "--key-file", str(file), "--after", "0") as listener:
        post(gateway, ["shown"])
        (line,) = listener.await_lines(1)
    assert "shown" in line
    assert MASKED in line
    assert MOBILE not in line


def test_tail_shows_callbacks_and_attempts(gateway: Gateway, receive: Receive) -> None:
    """In lines of JSON, masked, and so without an entry in the audit log."""
    with Client(gateway.url, gateway.key) as client:
        client.endpoints.create(receive().url, name="crm")
        with following(gateway, "tail", "--json") as tail:
            post(gateway, ["call"])
            tail.await_lines(1, holding='"attempt"')
        shown = [json.loads(line) for line in tail.lines]
        assert {one["mobile"] for one in shown} == {MASKED}
        assert "numbers_revealed" not in [event.action for event in client.audit_events()]
