"""What an adapter does beside what other code of the application does with a request."""

import threading

import pytest
from flask import Flask, request
from gateway import OK, prompt
from receiver.conftest import TOKEN, URL, MakeReceiver
from receiver.stores import set_up_django

from answerback.receiver import MemoryStore


@pytest.mark.parametrize("size", [0, 70_000])
def test_flask_may_have_read_the_body_before(make_receiver: MakeReceiver, size: int) -> None:
    """As a log of requests does; and a limit of the application's is not that of callbacks."""
    app = Flask("theirs")
    app.config["MAX_CONTENT_LENGTH"] = 50_000
    app.register_blueprint(make_receiver(MemoryStore()).flask())
    if not size:
        app.before_request(lambda: request.get_data() and None)
    answer = app.test_client().post(URL, data=prompt("a") + bytes(size))
    assert (answer.status_code, answer.data == OK) == ((413, False) if size else (200, True))
    assert answer.content_type == "application/json"


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(0, 200), (70_000, 413)])
def test_a_limit_of_flask_s_is_not_that_of_callbacks(
    make_receiver: MakeReceiver, size: int, status: int, *, is_chunked: bool
) -> None:
    """With it a callback would be answered 413, by Flask."""
    app = Flask("theirs")
    app.config["MAX_CONTENT_LENGTH"] = 100
    app.register_blueprint(make_receiver(MemoryStore()).flask())
    answer = app.test_client().post(
        URL,
        data=prompt("a") + b" " * size,
        headers={"Transfer-Encoding": "chunked"} if is_chunked else {},
        environ_overrides={"wsgi.input_terminated": is_chunked},
    )
    assert (answer.status_code, answer.content_type) == (status, "application/json")


def test_a_request_for_anything_begins_to_call_handlers(make_receiver: MakeReceiver) -> None:
    """Flask has no other moment for it in each process."""
    store, done = MemoryStore(), threading.Event()
    make_receiver(store).receive(prompt("a"), TOKEN)
    voice = make_receiver(store, threads=1)
    voice.on("answered")(lambda _: done.set())
    app = Flask("theirs")
    app.register_blueprint(voice.flask())
    assert app.test_client().get("/health").status_code == 404
    assert done.wait(30)


def test_django_may_have_read_the_body_before(make_receiver: MakeReceiver) -> None:
    """As a middleware does."""
    set_up_django()
    from django.test import RequestFactory

    pattern = make_receiver(MemoryStore()).django()
    asked = RequestFactory().post(URL, data=prompt("a"), content_type="text/plain")
    assert asked.body
    answer = pattern.callback(asked, token=TOKEN)
    assert (answer.status_code, answer.content) == (200, OK)


@pytest.mark.parametrize(("size", "status"), [(0, 200), (70_000, 413)])
def test_a_limit_of_django_s_is_not_that_of_callbacks(make_receiver: MakeReceiver, size: int, status: int) -> None:
    """It is one of forms: with it a callback would be answered 400, by Django."""
    set_up_django()
    from django.test import RequestFactory, override_settings

    pattern = make_receiver(MemoryStore()).django()
    asked = RequestFactory().post(URL, data=prompt("a") + b" " * size, content_type="application/json")
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=100):
        assert pattern.callback(asked, token=TOKEN).status_code == status
