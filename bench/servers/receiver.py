"""(d) An application like the handwritten one, with `answerback.receiver` in it and a handler that has nothing to do.

FastAPI as the handwritten one is run; Flask and Django by a worker of gunicorn's with threads, as their pages say. The store is the same in all: a SQLite file.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from answerback.receiver import Event, Receiver, SQLiteStore

if TYPE_CHECKING:
    from django.core.handlers.wsgi import WSGIHandler
    from django.urls import URLPattern
    from fastapi import FastAPI
    from flask import Flask

THREADS = 64

urlpatterns: "list[URLPattern]" = []
"""Of Django."""


def receiver(path: str) -> Receiver:
    """The receiver, on a SQLite file."""
    voice = Receiver(channels={"default": None}, store=SQLiteStore(path))

    @voice.on("*")
    def handle(_event: Event) -> None:
        """What a handler does is its own time."""

    return voice


def fastapi(path: str) -> "FastAPI":
    """A FastAPI application."""
    from fastapi import FastAPI

    app = FastAPI()
    app.include_router(receiver(path).fastapi())
    return app


def flask(path: str) -> "Flask":
    """A Flask application."""
    from flask import Flask

    app = Flask(__name__)
    app.register_blueprint(receiver(path).flask())
    return app


def django(path: str) -> "WSGIHandler":
    """A Django application, without middleware."""
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application

    settings.configure(SECRET_KEY="bench", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__)  # nothing is signed
    application = get_wsgi_application()
    urlpatterns.append(receiver(path).django())
    return application


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--framework", choices=["fastapi", "flask", "django"], required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    given = parser.parse_args()
    path = str(given.data_dir / "voice.db")
    if given.framework == "fastapi":
        import uvicorn

        uvicorn.run(fastapi(path), port=given.port, access_log=False, log_level="warning")
        return
    options = ["--bind", f"127.0.0.1:{given.port}", "--threads", f"{THREADS}", "--log-level", "warning"]
    program = [
        "-m",
        "gunicorn",
        *options,
        "--chdir",
        str(Path(__file__).parent),
        f"receiver:{given.framework}({path!r})",
    ]
    os.execv(sys.executable, [sys.executable, *program])


if __name__ == "__main__":
    main()
