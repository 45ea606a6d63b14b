"""The durable answer as a bare ASGI application, to be run by any ASGI server. DATA_DIR names the ledger's directory."""

import os
from pathlib import Path
from typing import Any

from answerback.config import Settings
from answerback.intake import Channels, Committer, Intake, Meter
from answerback.ledger import Opening, WriterProcess, open_ledger

_settings = Settings()
_opening = Opening(
    data_dir=os.environ["DATA_DIR"],
    lock_timeout_s=_settings.ledger.lock_timeout_s,
    quarantine_bytes=_settings.quarantine.max_bytes,
    quarantine_per_minute=_settings.quarantine.max_per_minute,
    allow_unsafe_place=False,
)
_parts: dict[str, Any] = {}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The intake, started and stopped by the server's lifespan."""
    if scope["type"] == "http":
        await _parts["intake"](scope, receive, send)
        return
    await receive()
    await _start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await _parts["writer"].stop(1.0)
    await send({"type": "lifespan.shutdown.complete"})


async def _start() -> None:
    open_ledger(Path(_opening.data_dir)).close()
    writer, meter, given = WriterProcess(_opening), Meter(), _settings.intake
    committer = Committer(
        writer,
        meter,
        max_pending=given.max_pending,
        max_batch=given.max_batch,
        answer_timeout_s=given.answer_timeout_s,
    )
    await writer.start()
    await committer.start()
    _parts["writer"] = writer
    _parts["intake"] = Intake(Channels({"default": None}), committer, meter, given.max_body_bytes)
