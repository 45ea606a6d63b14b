"""(a) The floor: an ASGI application that reads the body and answers OK, on the very server that Answerback runs on."""

import argparse
import asyncio
import socket
from typing import Any

import uvicorn
import uvloop

from answerback.config import IntakeSettings
from answerback.service.http import http_config
from answerback.tencent.response import OK_RESPONSE

_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(OK_RESPONSE)).encode())],
}
_BODY = {"type": "http.response.body", "body": OK_RESPONSE}


async def app(_scope: Any, receive: Any, send: Any) -> None:
    """Read all, answer OK."""
    while (await receive()).get("more_body"):
        pass
    await send(_START)
    await send(_BODY)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    listener = socket.create_server(("127.0.0.1", parser.parse_args().port), backlog=2048)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(http_config(app, IntakeSettings())).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
