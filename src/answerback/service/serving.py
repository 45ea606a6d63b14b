"""Run one process of the gateway until it is told to stop."""

import asyncio
import contextlib
import gc
import os
from collections.abc import Callable, Iterator

import uvloop

from answerback.auth.server_secret import ServerSecret
from answerback.config import ServerRole, Settings
from answerback.errors import ConfigError
from answerback.inbox import Inbox
from answerback.ledger.writer.spawning import WriterHandle
from answerback.service.factories import inbox_config, open_certificates
from answerback.service.gateway import Gateway, StartupInfo
from answerback.service.http import bind_socket
from answerback.storage.disk import require_durable_filesystem

_OWNER_ONLY = 0o077


def serve(
    settings: Settings,
    on_started: Callable[[StartupInfo], None],
    spawned: WriterHandle,
    *,
    new_ledger: bool = False,
    sign_in_link: bool = False,
    load_settings: Callable[[], Settings] | None = None,
) -> None:
    """Run the gateway until SIGINT or SIGTERM; calls `on_started` once it listens and has looked at the ledger.

    `spawned` is its writer. At SIGHUP it takes over what `load_settings` returns. With `sign_in_link` it makes one for the admin key. With `new_ledger` a data directory that was used before, and has lost its ledger, gets a new one.
    Raises ConfigError, UnsafeStorage or LedgerUnavailable where it cannot start.
    """
    os.umask(_OWNER_ONLY)
    gc.disable()  # until all is loaded, there is nothing to collect
    certificates = open_certificates(settings)  # before anything is opened or left in the data directory
    secret = _server_secret(settings)
    with (
        _open_inbox(settings) as inbox,
        bind_socket(settings.server.host, settings.server.port) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        gateway = Gateway(
            settings,
            secret,
            certificates,
            inbox,
            spawned,
            listener,
            new_ledger=new_ledger,
            sign_in_link=sign_in_link,
            load_settings=load_settings,
        )
        runner.run(gateway.run(on_started))


@contextlib.contextmanager
def _open_inbox(settings: Settings) -> Iterator[Inbox | None]:
    """The inbox, where this process takes callbacks and no stream does. Raises ConfigError, UnsafeStorage, LedgerUnavailable."""
    if settings.stream.url is not None or ServerRole.INTAKE not in settings.server.roles:
        yield None
        return
    inbox = Inbox.open(inbox_config(settings))
    try:
        yield inbox
    finally:
        inbox.close()


def _server_secret(settings: Settings) -> ServerSecret:
    """The secret, made in the data directory where there is none yet. Raises ConfigError, UnsafeStorage."""
    directory = settings.server.data_dir
    if settings.ledger.url is None and not settings.ledger.allow_unsafe_filesystem:
        require_durable_filesystem(directory)  # before anything is left there
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"server.data_dir, {directory}: cannot be made: {error.strerror}") from error
    return ServerSecret.load_or_create(settings.server.data_dir, settings.server.secret)
