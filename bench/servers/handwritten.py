"""(c) The handler that people write: FastAPI, a SQLAlchemy session, a commit per request, SQLite with FULL sync.

Run with uvicorn as its documentation says, with the event loop and the parser that are the fastest it offers.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker


class Base(DeclarativeBase):
    """The tables."""


class CallRow(Base):
    """One call's status."""

    __tablename__ = "calls"
    callid: Mapped[str] = mapped_column(primary_key=True)
    result: Mapped[str]
    mobile: Mapped[str]
    accept_time: Mapped[str]
    end_calltime: Mapped[str]
    start_calltime: Mapped[str]
    fee: Mapped[str]


class Status(BaseModel):
    """The inner object of the callback."""

    result: str
    accept_time: str
    call_from: str
    callid: str
    end_calltime: str
    fee: str
    mobile: str
    nationcode: str
    start_calltime: str


class Body(BaseModel):
    """The callback."""

    voiceprompt_callback: Status


def build(path: Path) -> FastAPI:
    """The application, on a SQLite file."""
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    Base.metadata.create_all(engine)
    sessions = sessionmaker(engine)
    app = FastAPI()

    def session() -> Iterator[Session]:
        with sessions() as opened:
            yield opened

    @app.post("/voice/callback")
    def callback(body: Body, db: Annotated[Session, Depends(session)]) -> dict[str, Any]:
        status = body.voiceprompt_callback
        values = status.model_dump(exclude={"call_from", "nationcode"})
        db.merge(CallRow(**values))
        db.commit()
        return {"result": 0, "errmsg": "OK"}

    return app


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    given = parser.parse_args()
    uvicorn.run(build(given.data_dir / "handwritten.db"), port=given.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
