"""Run one process of the gateway until it is told to stop."""

import asyncio
import contextlib
import gc
import os
from collections.abc import Callable

import msgspec
import uvloop

from answerback.auth.server_secret import ServerSecret
from answerback.config import ServerRole, Settings
from answerback.disk import require_durable_filesystem
from answerback.errors import ConfigError
from answerback.ledger.writer.client import WriterClient
from answerback.ledger.writer.spawning import WriterHandle
from answerback.service.gateway import Gateway, StartupInfo
from answerback.service.http import bind_socket
from answerback.service.ledger_config import ledger_config

_OWNER_ONLY = 0o077


def serve(
    settings: Settings, on_started: Callable[[StartupInfo], None], spawned: WriterHandle, *, new_ledger: bool = False
) -> None:
    """Run the gateway until SIGINT or SIGTERM; calls `on_started` once it listens.

    `spawned` is its writer. With `new_ledger` a data directory that was used before, and has lost its ledger, gets a new one. Raises ConfigError or LedgerError where it cannot start.
    """
    os.umask(_OWNER_ONLY)
    gc.disable()  # until all is loaded, there is nothing to collect
    secret = _server_secret(settings)
    writer = WriterClient(ledger_config(settings), spawned)
    with (
        contextlib.closing(
            ledger_config(settings).open(allow_offline=_can_start_offline(settings), new_ledger=new_ledger)
        ) as ledger,
        bind_socket(settings.server.host, settings.server.port) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        writer.config = msgspec.structs.replace(writer.config, file_ids=ledger.file_ids)
        runner.run(Gateway(settings, secret, ledger, writer, listener).run(on_started))


def _can_start_offline(settings: Settings) -> bool:
    """Whether callbacks can be taken though the database is away: what a stream holds is safe without it."""
    return settings.stream.url is not None and ServerRole.INTAKE in settings.server.roles


def _server_secret(settings: Settings) -> ServerSecret:
    """The secret, made in the data directory where there is none yet. Raises ConfigError, UnsafeStorage."""
    directory = settings.server.data_dir
    if settings.ledger.url is None and not settings.ledger.allow_unsafe_filesystem:
        require_durable_filesystem(directory)  # before anything is left there
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"server.data_dir, {directory}: cannot be made: {error.strerror}") from error
    return ServerSecret.load_or_create(settings.server)
