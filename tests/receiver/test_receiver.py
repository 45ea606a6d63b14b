"""What a receiver answers, and whom it calls: by each way in, on each store, and without one."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from builders import payload
from fastapi import FastAPI
from gateway import OK, failure, key_press, prompt
from receiver.adapters import Answer, Send
from receiver.conftest import TOKEN, URL, MakeReceiver

from answerback.domain.models import Outcome, ParsedCallback, RejectedCallback
from answerback.errors import ConfigError, LedgerUnavailable, UnavailableReason
from answerback.receiver import Event, MemoryStore, ReadableStore, Receiver, Response, Store

OTHER_TOKEN = "9fHc4BnUe6TyXo1WqJ8k"
Adapter = Callable[[Receiver], Send]


def result(answer: Answer) -> tuple[int, int, str]:
    """Status, result and errmsg, of an answer that has to be the contract's."""
    assert answer.headers["content-type"] == "application/json"
    document = json.loads(answer.body)
    assert list(document) == ["result", "errmsg"]
    return answer.status, document["result"], document["errmsg"]


# Answers.


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", URL, payload("voiceprompt_example.json"), (200, 0, "OK")),
        ("POST", f"{URL}/", prompt("a"), (200, 0, "OK")),
        ("POST", URL, b"{", (400, 3003, "the body is not JSON: Input data was truncated")),
        ("POST", URL, b"{}", (400, 1011, "no callback key: one of voiceprompt_callback, voicecode_callback, voicekey_callback, voice_failure_callback is required")),
        ("POST", URL, prompt("a", callid=...), (400, 3004, "voiceprompt_callback.callid: required")),
        ("POST", URL, bytes(65_537), (413, 1036, "the body is larger than 65536 bytes")),
        ("POST", "/voice/callback", prompt("a"), (404, 1019, "no channel has this callback URL")),
        ("POST", f"/voice/callback/{OTHER_TOKEN}", prompt("a"), (404, 1019, "no channel has this callback URL")),
        ("POST", f"{URL}/more", prompt("a"), (404, 1019, "no channel has this callback URL")),
        ("GET", URL, b"", (405, 1030, "method not allowed: use POST")),
        ("PUT", URL, prompt("a"), (405, 1030, "method not allowed: use POST")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stored", [True, False])
def test_it_answers_as_the_gateway_does(
    make_receiver: MakeReceiver,
    adapter: Adapter,
    method: str,
    path: str,
    body: bytes,
    expected: tuple[int, int, str],
    *,
    stored: bool,
) -> None:
    """docs/answers.md holds, with a store and without."""
    answer = adapter(make_receiver(MemoryStore() if stored else None))(method, path, body)
    assert result(answer) == expected
    if expected[0] == 200:
        assert answer.body == OK
    if expected[0] == 405:
        assert answer.headers["allow"] == "POST"


def test_what_cannot_be_stored_is_answered_503(make_receiver: MakeReceiver, adapter: Adapter) -> None:
    """With the reason if it is one of ours, and without anything of another's error."""
    errors: list[Exception] = [LedgerUnavailable(UnavailableReason.DISK_FULL, "/srv"), ValueError("13788888888")]

    class Broken(MemoryStore):
        def record(self, _batch: Any) -> None:
            raise errors.pop(0)

    send = adapter(make_receiver(Broken()))
    for reason in ("the disk is full", "an internal error, see the log"):
        answer = send("POST", URL, prompt("a"))
        assert result(answer) == (503, 3002, f"not known to be stored, try again: {reason}")
        assert answer.headers["retry-after"] == "1"


def test_what_is_not_stored_in_time_is_answered_503(make_receiver: MakeReceiver, adapter: Adapter) -> None:
    """Nobody waits for ever on a disk that hangs."""
    may_end = threading.Event()

    class Hanging(MemoryStore):
        def record(self, batch: Any) -> None:
            may_end.wait(30)
            super().record(batch)

    send = adapter(make_receiver(Hanging(), commit_timeout_s=0.05))
    try:
        answered = result(send("POST", URL, prompt("a")))
    finally:
        may_end.set()
    assert answered == (503, 3002, "not known to be stored, try again: the disk does not answer")


def test_too_many_that_wait_are_answered_503(
    make_receiver: MakeReceiver, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for the store is bounded."""
    monkeypatch.setattr("answerback.receiver.committer._MAX_PENDING", 0)
    answered = result(adapter(make_receiver(MemoryStore()))("POST", URL, prompt("a")))
    assert answered == (503, 3002, "not known to be stored, try again: too many callbacks are waiting to be stored")


def test_too_many_bytes_that_wait_are_answered_503(
    make_receiver: MakeReceiver, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large bodies reach the bound before there are many; one is taken however large it is, and when it is stored there is room."""
    monkeypatch.setattr("answerback.receiver.committer._MAX_PENDING_BYTES", 1000)
    begun, may_end = threading.Event(), threading.Event()

    class Hanging(MemoryStore):
        def record(self, batch: Any) -> None:
            begun.set()
            may_end.wait(30)
            super().record(batch)

    voice = make_receiver(Hanging())
    send = adapter(voice)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(voice.receive, prompt("a") + b" " * 1000, TOKEN)
        assert begun.wait(30)
        answered = result(send("POST", URL, prompt("b")))
        may_end.set()
        assert first.result(30).body == OK
    assert answered == (503, 3002, "not known to be stored, try again: too many callbacks are waiting to be stored")
    assert send("POST", URL, prompt("b")).body == OK


def test_each_channel_has_its_token(make_receiver: MakeReceiver, adapter: Adapter) -> None:
    """What comes in by one is not in another's calls, even with the same callid."""
    voice = make_receiver(MemoryStore(), channels={"default": None, "codes": TOKEN, "alerts": OTHER_TOKEN})
    send = adapter(voice)
    assert send("POST", "/voice/callback", key_press("a", "0")).body == OK
    assert send("POST", URL, key_press("a", "1")).body == OK
    assert send("POST", f"/voice/callback/{OTHER_TOKEN}", key_press("a", "2")).body == OK
    calls = [voice.call("a"), voice.call("a", "codes"), voice.call("a", "alerts")]
    assert [call and call.keys for call in calls] == [("0",), ("1",), ("2",)]


# Handlers.


@pytest.fixture(params=[False, True], ids=["def", "async def"])
def handler_of(request: pytest.FixtureRequest) -> Callable[[Callable[[Any], None]], Callable[[Any], Any]]:
    """A function as a handler: itself, or as a coroutine function."""

    def make(function: Callable[[Any], None]) -> Callable[[Any], Any]:
        async def handler(event: Any) -> None:
            function(event)

        return handler if request.param else function

    return make


def test_without_a_store_it_answers_after_the_handler(
    make_receiver: MakeReceiver, adapter: Adapter, handler_of: Callable[..., Any]
) -> None:
    """The event has this callback alone, and is never a repeat."""
    voice, events = make_receiver(), list[Event]()
    voice.on("*")(handler_of(events.append))
    send = adapter(voice)
    for body in (key_press("a"), prompt("a"), prompt("a")):
        assert send("POST", URL, body).body == OK
    assert [event.type for event in events] == ["key_pressed", "answered", "answered"]
    assert [event.call.keys for event in events] == [("1",), (), ()]
    assert not any(event.is_duplicate for event in events)


def test_without_a_store_an_exception_is_a_503(
    make_receiver: MakeReceiver,
    adapter: Adapter,
    handler_of: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The cloud is to send it again; the log has where it was raised, and nobody's number."""
    voice = make_receiver()

    def fail(event: Event) -> None:
        raise ValueError(event.call.mobile)

    voice.on("failed")(handler_of(fail))
    send = adapter(voice)
    answer = send("POST", URL, failure("a", mobile="13788888888"))
    assert result(answer) == (503, 3002, "not known to be stored, try again: an internal error, see the log")
    assert send("POST", URL, prompt("a")).status == 200
    assert "raise ValueError(event.call.mobile)" in caplog.text
    assert "with the event failed of callid a" in caplog.text
    assert "13788888888" not in caplog.text


class OfTheirs(BaseException):
    """What is no Exception, as gevent's Timeout."""


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, OfTheirs])
def test_without_a_store_whatever_a_handler_raises_is_a_503(
    make_receiver: MakeReceiver, adapter: Adapter, handler_of: Callable[..., Any], kind: type[BaseException]
) -> None:
    """In a server's thread: else it would be the framework's 500, or end the worker."""
    voice = make_receiver()

    def fail(_event: object) -> None:
        raise kind

    voice.on("failed")(handler_of(fail))
    voice.on_rejected(fail)
    send = adapter(voice)
    with ThreadPoolExecutor() as pool:
        answered = [pool.submit(send, "POST", URL, body).result(30) for body in (failure("a"), b"{", prompt("a"))]
    assert [one.status for one in answered] == [503, 400, 200]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_ends_the_process_ends_it(make_receiver: MakeReceiver, kind: type[BaseException]) -> None:
    """In the main thread it may come from a signal, as when gunicorn ends its sync worker: nothing is answered, and the event waits."""
    store = MemoryStore()
    voice, stored = make_receiver(), make_receiver(store)

    def fail(_event: Event) -> None:
        raise kind

    voice.on("*")(fail)
    stored.on("*")(fail)
    stored.receive(prompt("a"), TOKEN)
    with pytest.raises(kind):
        voice.receive(prompt("a"), TOKEN)
    with pytest.raises(kind):
        stored.dispatch()
    assert store.backlog().events == 1


def test_a_request_that_is_cancelled_is_cancelled(make_receiver: MakeReceiver) -> None:
    """As a server cancels those that run when it is to end; but an event loop is not ended by a handler."""
    voice, begun = make_receiver(), asyncio.Event()

    @voice.on("answered")
    async def wait(_event: Event) -> None:
        begun.set()
        await asyncio.Event().wait()

    @voice.on("failed")
    async def end(_event: Event) -> None:
        raise SystemExit

    async def requests() -> Response:
        request = asyncio.create_task(voice.areceive(prompt("a"), TOKEN))
        await begun.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        return await voice.areceive(failure("a"), TOKEN)

    assert asyncio.run(requests()).status == 503


def test_whatever_a_store_raises_its_threads_go_on(make_receiver: MakeReceiver) -> None:
    """What it could not keep is answered 503, and what it could not hand over waits."""

    class Broken(MemoryStore):
        recording = delivering = True

        def record(self, batch: Any) -> None:
            if self.recording:
                self.recording = False
                raise OfTheirs
            super().record(batch)

        def deliver(self, handle: Any) -> bool:
            if self.delivering:
                self.delivering = False
                raise OfTheirs
            return super().deliver(handle)

    voice, done = make_receiver(Broken(), threads=1, poll_s=0.01), threading.Event()
    voice.on("answered")(lambda _: done.set())
    assert [voice.receive(prompt("a"), TOKEN).status for _ in range(2)] == [503, 200]
    assert done.wait(30)


@pytest.mark.parametrize(
    ("names", "handled"),
    [
        (("*",), ["key 1", "unanswered", "failure", "answered", "key 2"]),
        (("answered",), ["answered"]),
        (("unanswered",), ["unanswered", "failure"]),
        (("revised",), ["answered"]),
        (("revised", "answered"), ["answered"]),
        (("failed",), []),
        (("key_pressed",), ["key 1", "key 2"]),
    ],
)
def test_handlers_get_what_they_asked_for(
    make_receiver: MakeReceiver, names: tuple[str, ...], handled: list[str]
) -> None:
    """By the type of the event or by the outcome of the call, once."""
    voice, events = make_receiver(MemoryStore()), list[Event]()
    voice.on(*names)(events.append)
    named = {
        "key 1": key_press("a", "1"),
        "unanswered": prompt("a", result="1", accept_time="0"),
        "failure": failure("a"),
        "answered": prompt("a"),
        "key 2": key_press("a", "2"),
    }
    for body in named.values():
        assert voice.receive(body, TOKEN).status == 200
    assert voice.dispatch() == 5
    received_order = list(named)
    assert [received_order[_position(event)] for event in events] == handled


def _position(event: Event) -> int:
    """Which of the five callbacks it was: by how much was known of the call with it."""
    return len(event.call.fingerprints) - 1


def test_keys_have_handlers_of_their_own(make_receiver: MakeReceiver) -> None:
    """`on_key` names keys, or none for all."""
    voice, one, any_key = make_receiver(MemoryStore()), list[str](), list[str]()
    voice.on_key("1", "#")(lambda event: one.append(event.callback.key))
    voice.on_key()(lambda event: any_key.append(event.callback.key))
    for key in "12#":
        voice.receive(key_press("a", key), TOKEN)
    voice.receive(prompt("a"), TOKEN)
    voice.dispatch()
    assert (one, any_key) == (["1", "#"], ["1", "2", "#"])


def test_an_event_says_whether_the_outcome_is_new(make_receiver: MakeReceiver, store: ReadableStore) -> None:
    """A failed call is often two callbacks: the outcome is new with the first, the reason is there with the second."""
    voice, events = make_receiver(store), list[Event]()
    voice.on("failed")(events.append)
    voice.receive(prompt("a", result="2"), TOKEN)
    voice.receive(failure("a", failure_code=8), TOKEN)
    voice.dispatch()
    assert [(event.outcome_changed, event.call.failure_code) for event in events] == [(True, None), (False, 8)]
    assert {event.call.outcome for event in events} == {Outcome.FAILED}


def test_a_repeat_is_no_news(make_receiver: MakeReceiver, store: ReadableStore) -> None:
    """Who does not ask for duplicates is not called; who does gets one, with the same fingerprint."""
    voice, news, everything = make_receiver(store), list[Event](), list[Event]()
    voice.on("*")(news.append)
    voice.on("*", duplicates=True)(everything.append)
    for body in (key_press("a"), prompt("a"), key_press("a")):
        assert voice.receive(body, TOKEN).body == OK
        voice.dispatch()
    assert [event.type for event in news] == ["key_pressed", "answered"]
    assert [event.is_duplicate for event in everything] == [False, False, True]
    assert everything[0].fingerprint == everything[2].fingerprint != everything[1].fingerprint
    assert everything[2].call == everything[1].call
    assert not everything[2].outcome_changed


def test_a_handler_that_fails_loses_nothing(
    make_receiver: MakeReceiver,
    store: ReadableStore,
    handler_of: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The event is handed over again, as it was, and those behind it wait."""
    voice, events = make_receiver(store, retry_schedule_s=[0]), list[Event]()

    def fail_twice(event: Event) -> None:
        events.append(event)
        if len(events) < 3:
            raise ValueError("13788888888")

    voice.on("*")(handler_of(fail_twice))
    voice.receive(key_press("a"), TOKEN)
    voice.receive(prompt("a"), TOKEN)
    assert voice.dispatch() == 4
    assert events[0] == events[1] == events[2]
    assert [event.type for event in events] == ["key_pressed"] * 3 + ["answered"]
    assert voice.backlog() == (0, 0.0)
    assert caplog.text.count("event not handled: tried again in 0.0 s") == 2
    assert "13788888888" not in caplog.text


def test_whatever_a_handler_raises_its_thread_goes_on(
    make_receiver: MakeReceiver, handler_of: Callable[..., Any]
) -> None:
    """Some raise what is no Exception: the event comes again, and those of other calls are handled."""
    voice, done = make_receiver(MemoryStore(), threads=1, retry_schedule_s=[0]), threading.Semaphore(0)
    errors = [BaseException("gevent's Timeout is one"), GeneratorExit(), KeyboardInterrupt(), SystemExit()]

    def fail(_event: Event) -> None:
        if errors:
            raise errors.pop()
        done.release()

    voice.on("*")(handler_of(fail))
    for callid in "ab":
        voice.receive(prompt(callid), TOKEN)
    assert all(done.acquire(timeout=30) for _ in range(2))


def test_each_event_has_a_context_of_its_own(make_receiver: MakeReceiver, handler_of: Callable[..., Any]) -> None:
    """What a handler sets there, such as the fields of a logger, is gone with the event."""
    voice, found = make_receiver(MemoryStore()), list[str]()
    field = ContextVar("field", default="nothing")

    def set_field(event: Event) -> None:
        found.append(field.get())
        field.set(event.call.callid)

    voice.on("*")(handler_of(set_field))
    for callid in "ab":
        voice.receive(prompt(callid), TOKEN)
    assert voice.dispatch() == 2
    assert found == ["nothing", "nothing"]


def test_the_wait_grows(make_receiver: MakeReceiver, store: ReadableStore) -> None:
    """As `retry_schedule_s` says: what has failed is not due at once."""
    voice = make_receiver(store, retry_schedule_s=[0, 60])

    @voice.on("*")
    def fail(_event: Event) -> None:
        raise ValueError

    voice.receive(prompt("a"), TOKEN)
    assert voice.dispatch() == 2
    assert voice.dispatch() == 0
    assert voice.backlog().events == 1


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_call_the_handlers(
    make_receiver: MakeReceiver, store: ReadableStore, handler_of: Callable[..., Any], threads: int
) -> None:
    """Behind the answer, each call in its order."""
    voice, events, done = make_receiver(store, threads=threads), list[Event](), threading.Semaphore(0)

    def note(event: Event) -> None:
        events.append(event)
        done.release()

    voice.on("*")(handler_of(note))
    for number in range(20):
        for body in (key_press(f"{number}"), prompt(f"{number}")):
            assert voice.receive(body, TOKEN).body == OK
    assert all(done.acquire(timeout=30) for _ in range(40))
    for number in range(20):
        types = [event.type for event in events if event.call.callid == f"{number}"]
        assert types == ["key_pressed", "answered"]


def test_what_waits_is_handled_after_a_start(make_receiver: MakeReceiver, store: ReadableStore) -> None:
    """`start` is enough: no callback has to come."""
    earlier, later, done = make_receiver(store), make_receiver(store, threads=1), threading.Event()
    earlier.receive(prompt("a"), TOKEN)
    later.on("answered")(lambda _: done.set())
    later.start()
    assert done.wait(30)


def test_close_waits_for_the_handler_that_runs(make_receiver: MakeReceiver) -> None:
    """No longer than it is told; then it says that it has not stopped."""
    voice, started, may_end = make_receiver(MemoryStore(), threads=1), threading.Event(), threading.Event()

    @voice.on("*")
    def slow(_event: Event) -> None:
        started.set()
        may_end.wait(30)

    voice.receive(prompt("a"), TOKEN)
    voice.receive(prompt("b"), TOKEN)
    assert started.wait(30)
    assert not voice.close(timeout_s=0.01)
    may_end.set()
    assert voice.receive(prompt("c"), TOKEN).body == OK  # it starts again


def test_what_waits_together_is_committed_together(make_receiver: MakeReceiver) -> None:
    """While the store commits, the next batch gathers; the event loop goes on."""
    sizes, may_commit = list[int](), threading.Event()

    class Counting(MemoryStore):
        def record(self, batch: Any) -> None:
            sizes.append(len(batch))
            assert may_commit.wait(30)
            super().record(batch)

    async def receive_at_once() -> list[Response]:
        receiving = [asyncio.create_task(voice.areceive(prompt(f"{number}"), TOKEN)) for number in range(50)]
        await asyncio.sleep(0)  # all are submitted then, and the first has no answer
        may_commit.set()
        return await asyncio.gather(*receiving)

    voice = make_receiver(Counting())
    assert {response.body for response in asyncio.run(receive_at_once())} == {OK}
    assert len(sizes) <= 2
    assert sum(sizes) == 50


def test_rejected_bodies_are_kept_and_said(
    make_receiver: MakeReceiver, adapter: Adapter, caplog: pytest.LogCaptureFixture
) -> None:
    """In the store, to the hook, and in the log; no handler is called, and a hook that fails changes nothing."""
    store, seen = MemoryStore(), list[RejectedCallback]()
    voice = make_receiver(store)
    voice.on("*")(lambda _: pytest.fail("called"))

    def fail(_rejected: RejectedCallback) -> None:
        raise ValueError("13788888888")

    voice.on_rejected(fail)
    voice.on_rejected(seen.append)
    with caplog.at_level(logging.WARNING):
        assert result(adapter(voice)("POST", URL, b'{"x": 13788888888}'))[:2] == (400, 1011)
    voice.dispatch()
    assert [(one.channel, one.raw, one.result) for one in seen] == [("default", b'{"x": 13788888888}', 1011)]
    assert store.rejected == seen
    assert "callback of channel default rejected: no callback key" in caplog.text
    assert "13788888888" not in caplog.text


def test_the_log_says_the_same_so_often_and_no_more(
    make_receiver: MakeReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither junk nor an outage fills it; the last line says that more are left out."""
    voice = make_receiver()

    @voice.on("*")
    def fail(_event: Event) -> None:
        raise ValueError

    for body in [b"{"] * 70 + [prompt("a")] * 70:
        voice.receive(body, TOKEN)
    lines = [record.getMessage() for record in caplog.records]
    rejected, unanswered = ([line for line in lines if one in line] for one in ("default rejected: ", "answered 503: "))
    for said in (rejected, unanswered):
        assert len(said) == 60
        assert [line.endswith("; no more of these are logged for a minute") for line in said] == [False] * 59 + [True]


# What is asked for wrongly.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"token": None}, r"^token: expected the secret end of the callback URL, or `channels`"),
        ({"token": TOKEN, "channels": {"a": TOKEN}}, r"^token: expected the secret end"),
        ({"token": "short"}, r"^token: expected 16 to 128 letters, digits, - or _; `python3 -c .*` makes one$"),
        ({"token": 16}, r"^token: expected 16 to 128 letters"),
        ({"channels": {}}, r"^channels: expected a token for each, such as"),
        ({"channels": [TOKEN]}, r"^channels: expected a token for each, such as"),
        ({"channels": {"codes": None}}, r"^channels\.codes\.token: required for every channel but default;"),
        ({"channels": {"a": TOKEN, "b": TOKEN}}, r"^channels\.b\.token: the same as that of a;"),
        ({"retry_schedule_s": []}, r"^retry_schedule_s: expected at least one number of seconds in a list, got \[\]$"),
        ({"retry_schedule_s": 3}, r"^retry_schedule_s: expected at least one number of seconds in a list, got 3$"),
        ({"retry_schedule_s": [-1]}, r"^retry_schedule_s: expected a number from 0 on, got -1$"),
        ({"threads": -1}, r"^threads: expected a number from 0 on, got -1$"),
        ({"poll_s": 0}, r"^poll_s: expected a number above 0, got 0$"),
        ({"max_body_bytes": "65536"}, r"^max_body_bytes: expected a number above 0, got '65536'$"),
        ({"commit_timeout_s": 0}, r"^commit_timeout_s: expected a number above 0, got 0$"),
        ({"store": "sqlite:"}, r"^store: expected sqlite:FILE"),
        ({"store": "sqlite:/tmp"}, r"^store, /tmp: this is a directory: name a file in it, such as /tmp/voice\.db$"),
        ({"store": Path("voice.db")}, r"^store: expected sqlite:FILE"),
        ({"store": "voice.db"}, r"^store: expected sqlite:FILE"),
        ({"store": "sqlite:///voice.db"}, r"^store: expected sqlite:FILE"),
        ({"store": "sqlite::memory:"}, r"^store: expected sqlite:FILE"),
        ({"store": "sqlite:nowhere/voice.db"}, r"^store, .*/nowhere/voice\.db: No such file or directory$"),
    ],
)
def test_a_wrong_setting_is_named(options: dict[str, Any], message: str) -> None:
    """At once, not with the first callback."""
    with pytest.raises(ConfigError, match=message):
        Receiver(**{"token": TOKEN} | options if "channels" not in options else options)


def test_a_decorator_without_its_parentheses_is_named(make_receiver: MakeReceiver) -> None:
    """The function would never be called; nor would one for a key that is a number."""
    voice = make_receiver()
    for wrong in (print, 1):
        with pytest.raises(ConfigError, match=r"^on_key: expected keys as text, such as @voice\.on_key"):
            voice.on_key(wrong)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"^on: expected some of .*, got "):
            voice.on(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^on: expected a function, got None$"):
        voice.on("*")(None)  # type: ignore[type-var]


def test_a_wrong_name_is_named(make_receiver: MakeReceiver) -> None:
    """A handler for what never happens is a mistake."""
    with pytest.raises(ConfigError, match=r"^on: expected some of \*, answered, .*, got overdue, busy$"):
        make_receiver().on("answered", "overdue", "busy")
    with pytest.raises(ConfigError, match=r", got nothing$"):
        make_receiver().on()

    async def coroutine(_rejected: RejectedCallback) -> None:
        """It would never be awaited."""

    with pytest.raises(
        ConfigError, match=r"^on_rejected: expected a function that is called in a thread, got async def coroutine$"
    ):
        make_receiver().on_rejected(coroutine)


def test_a_store_of_two_methods_is_enough(make_receiver: MakeReceiver) -> None:
    """It is not asked for more; who wants to read gets told what is missing."""

    class Mine:
        def __init__(self) -> None:
            self.rows: list[ParsedCallback] = []

        def record(self, batch: Any) -> None:
            self.rows += batch

        def deliver(self, handle: Any) -> bool:
            return bool(self.rows) and handle([self.rows.pop(0)], 0) is None

    store: Store = Mine()
    voice, events = make_receiver(store), list[Event]()
    voice.on("*")(events.append)
    assert voice.receive(prompt("a"), TOKEN).body == OK
    assert voice.dispatch() == 1
    assert [event.call.callid for event in events] == ["a"]
    with pytest.raises(
        ConfigError, match=r"^store: to read from it takes one with the methods `callbacks` and `backlog`"
    ):
        voice.call("a")


def test_fastapi_starts_and_stops_it(make_receiver: MakeReceiver, store: ReadableStore) -> None:
    """With the application, whose own lifespan goes on: what waits is handled without a callback, and threads end."""
    make_receiver(store).receive(prompt("a"), TOKEN)
    voice, said, done = make_receiver(store, threads=1), list[str](), threading.Event()
    voice.on("*")(lambda _: done.set())
    others = {*threading.enumerate()}

    def names() -> set[str]:
        return {thread.name for thread in threading.enumerate() if thread not in others}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        said.append("started")
        yield
        said.append("ended")

    app = FastAPI(lifespan=lifespan)
    app.include_router(voice.fastapi())

    async def run() -> None:
        async with app.router.lifespan_context(app):
            assert await asyncio.to_thread(done.wait, 30)
            assert "answerback-dispatcher" in names()

    asyncio.run(run())
    assert said == ["started", "ended"]
    assert "answerback-dispatcher" not in names()
