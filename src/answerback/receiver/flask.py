"""A receiver's callback URL in Flask."""

from contextlib import suppress

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wsgi import get_input_stream

from answerback.domain.channels import CALLBACK_PATH
from answerback.receiver.body import read_body
from answerback.receiver.receiver import Receiver

_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"]


def blueprint(receiver: Receiver) -> Blueprint:
    """The callback URL, and handlers that run from the application's first request on, whatever that is for."""
    voice = Blueprint("answerback", __name__)
    voice.before_app_request(receiver.start)

    def callback_url(token: str = "") -> Response:
        response = receiver.receive(_read(receiver.max_body_bytes), token, request.method)
        return Response(response.body, response.status, list(response.headers))

    for path in (CALLBACK_PATH, f"{CALLBACK_PATH}/", f"{CALLBACK_PATH}/<path:token>"):
        voice.add_url_rule(
            path, view_func=callback_url, methods=_METHODS, strict_slashes=True, provide_automatic_options=False
        )
    return voice


def _read(max_bytes: int) -> bytes:
    """The body, or of one that is too large or comes in chunks its beginning."""
    if request.content_length is not None and request.content_length <= max_bytes:
        with suppress(RequestEntityTooLarge):  # the application's limit is not that of callbacks
            return request.get_data()  # which the application may have read before
    return read_body(get_input_stream(request.environ).read, max_bytes + 1)
