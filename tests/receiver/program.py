"""A web application with a receiver in it, as a user has one; its handler writes down when it began and ended with each event, and now and then fails.

Run as `program.py STORE HOME [DATABASE]`, with the directory of the tests in PYTHONPATH: it opens that one of STORES there, listens on a free port,
prints the port, and keeps events.jsonl in HOME.
"""

import json
import os
import random
import socket
import sys
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from receiver.stores import STORES, Place

from answerback.receiver import Event, Receiver

LONGEST_HANDLER_S = 0.004


def build(name: str, place: Place) -> FastAPI:
    """The application; its callback URL has no token, as that of the tests' load."""
    store = STORES[name](place, lease_s=3)
    voice = Receiver(channels={"default": None}, store=store, retry_schedule_s=[0.01], poll_s=0.1)
    log = os.open(place.home / "events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @voice.on("*")
    def note(event: Event) -> None:
        def write(what: str) -> None:
            line = {"what": what, "pid": os.getpid(), "callid": event.call.callid, "fingerprint": event.fingerprint}
            os.write(log, json.dumps(line).encode() + b"\n")

        write("began")
        time.sleep(random.random() * LONGEST_HANDLER_S)  # a handler that takes some time
        if random.random() < 0.05:
            write("failed")
            raise ValueError("it happens")
        write("ended")

    app = FastAPI()
    app.include_router(voice.fastapi())
    return app


if __name__ == "__main__":
    app = build(sys.argv[1], Place(Path(sys.argv[2]), *sys.argv[3:]))
    listener = socket.create_server(("127.0.0.1", 0))
    os.write(1, b"%d\n" % listener.getsockname()[1])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    server.run(sockets=[listener])
