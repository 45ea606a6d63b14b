"""The durable answer as a bare ASGI application, to be run by any ASGI server. DATA_DIR names the ledger's directory."""

import os
from typing import Any

from answerback.config import Settings
from answerback.intake import CallbackApp, ChannelResolver, IntakeMetrics
from answerback.ledger.writer.client import WriterClient
from answerback.service.factories import build_committer
from answerback.service.ledger_config import ledger_config

_settings = Settings(server={"data_dir": os.environ["DATA_DIR"]})
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
    opening = ledger_config(_settings)
    opening.open().close()
    writer, meter = WriterClient(opening), IntakeMetrics()
    committer = build_committer(writer, meter, _settings.intake)
    await writer.start()
    await committer.start()
    _parts["writer"] = writer
    _parts["intake"] = CallbackApp(
        ChannelResolver({"default": None}), committer, meter, _settings.intake.max_body_bytes
    )
