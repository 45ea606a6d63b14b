"""A receiver's callback URL in Django, and its events as a signal."""

from contextlib import suppress
from functools import cache

from django.core.exceptions import RequestDataTooBig
from django.core.signals import request_started
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, re_path
from django.views.decorators.csrf import csrf_exempt

from answerback.domain.channels import CALLBACK_PATH
from answerback.receiver.body import read_body
from answerback.receiver.event import Event
from answerback.receiver.receiver import Receiver

voice_event = Signal()
"""Sent with each event as `event`, by the Receiver. An exception of a function that is connected is one of a handler: the event comes again."""


@cache
def url_pattern(receiver: Receiver) -> URLPattern:
    """The callback URL, and handlers that run from the first request on, whatever that is for."""

    @csrf_exempt
    def callback_url(request: HttpRequest, token: str | None = None) -> HttpResponse:
        body = _read(request, receiver.max_body_bytes)
        response = receiver.receive(body, token or "", request.method)
        return HttpResponse(response.body, status=response.status, headers=dict(response.headers))

    @receiver.on("*")
    def send(event: Event) -> None:
        voice_event.send(sender=receiver, event=event)

    def start(**_: object) -> None:
        receiver.start()

    request_started.connect(start, weak=False, dispatch_uid=receiver)
    return re_path(rf"^{CALLBACK_PATH.removeprefix('/')}(?:/(?P<token>.*))?$", callback_url)


def _read(request: HttpRequest, max_bytes: int) -> bytes:
    """The body, or of one that is too large or comes in chunks its beginning."""
    length, is_terminated = request.META.get("CONTENT_LENGTH"), request.META.get("wsgi.input_terminated")
    if length and int(length) <= max_bytes:
        with suppress(RequestDataTooBig):  # the project's limit is that of its forms
            return bytes(request.body)  # which a middleware may have read before
    read = request.META["wsgi.input"].read if is_terminated and not length else request.read
    return read_body(read, max_bytes + 1)  # Django by itself takes a body in chunks to be empty
