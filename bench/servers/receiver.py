"""(d) The same application as the handwritten one, with `answerback.receiver` in it and a handler that has nothing to do."""

import argparse
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from answerback.receiver import Event, Receiver, SQLiteStore


def build(path: Path) -> FastAPI:
    """The application, on a SQLite file."""
    voice = Receiver(channels={"default": None}, store=SQLiteStore(path))

    @voice.on("*")
    def handle(_event: Event) -> None:
        """What a handler does is its own time."""

    app = FastAPI()
    app.include_router(voice.fastapi())
    return app


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    given = parser.parse_args()
    uvicorn.run(build(given.data_dir / "voice.db"), port=given.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
