"""(b) The floor of the callback URL: the gateway's own protocol with a handler that answers OK at once."""

import argparse
import asyncio
import socket
from functools import partial
from typing import Any

import uvicorn
import uvloop

from answerback.config import IntakeSettings
from answerback.intake import CallbackHandler, CallbackProtocol, ChannelResolver, IntakeMetrics, RejectionLimiter
from answerback.intake.handler import Answer
from answerback.service.http import http_config
from answerback.tencent.response import OK


class NoopHandler(CallbackHandler):
    """Answers without reading the body."""

    takes_callbacks = True

    def handle(self, _channel: str, _raw: bytes, answer: Answer, _headers: Any = None) -> None:
        """Answer OK."""
        answer(OK)


async def app(_scope: Any, _receive: Any, _send: Any) -> None:
    """There is nothing but the callback URL."""


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    listener = socket.create_server(("127.0.0.1", parser.parse_args().port), backlog=2048)
    settings, metrics = IntakeSettings(), IntakeMetrics()
    handler = NoopHandler(
        ChannelResolver({"default": None}),
        None,
        metrics,
        RejectionLimiter(metrics, 0, 0, lambda: None),
        settings.max_body_bytes,
    )
    config = http_config(app, settings, partial(CallbackProtocol, handler))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
