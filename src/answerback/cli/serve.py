"""`answerback serve`: the gateway."""

import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from answerback.cli.language import tr, tr_message
from answerback.cli.options import AsJson, Config, DatabaseUrl, DataDir, load_cli_settings
from answerback.cli.plain_output import discard_unwritable, print_json, print_lines
from answerback.ledger.writer.spawning import spawn_writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from answerback.service.gateway import StartupInfo


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 8000 by default, 0 for a free one.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    stream: Annotated[
        str | None, typer.Option(help="NATS servers of the stream in front of the ledger: nats://a:4222,nats://b:4222")
    ] = None,
    roles: Annotated[
        str | None, typer.Option(help="Roles of this process: intake,recorder,relay,api,console; all by default.")
    ] = None,
    config: Config = None,
    new_ledger: Annotated[
        bool,
        typer.Option("--new-ledger", help="Create a new ledger if this data directory has lost the one it had."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    spawned = (
        spawn_writer()
    )  # before anything else: it takes as long to load as the gateway does, and they can load at once

    try:
        from answerback.logs import configure_logs
        from answerback.service.serving import serve as run

        load_settings = partial(
            load_cli_settings,
            config,
            host=host,
            port=port,
            data_dir=data_dir,
            roles=roles,
            database_url=database_url,
            stream=stream,
        )
        settings = load_settings()
        configure_logs(settings.log.level, settings.log.format)
        run(
            settings,
            partial(_print, _print_json if as_json else _print_text),
            spawned,
            new_ledger=new_ledger,
            sign_in_link=sys.stdout.isatty() and not as_json,
            load_settings=load_settings,
        )
    finally:
        spawned.process.kill()  # it has ended, but where nothing was started
        spawned.process.wait()
        discard_unwritable()


def _print(print_info: "Callable[[StartupInfo], None]", info: "StartupInfo") -> None:
    """Say where the gateway is; where that cannot be written, it works all the same."""
    with suppress(OSError):
        print_info(info)
        sys.stdout.flush()


def _print_text(info: "StartupInfo") -> None:
    """Print one line for each item, never truncated, so that URLs can be copied."""
    from answerback.config import ServerRole

    lines = [(tr("Listening"), info.url)]
    if "intake" in info.roles:
        lines += [
            (tr("Callback URL ({channel})", channel=channel), _shown(url))
            for channel, url in info.callback_urls.items()
        ]
    if "console" in info.roles:
        lines.append((tr("Console"), info.console_url))
    if info.sign_in_url:
        lines.append((tr("Sign in"), f"{info.sign_in_url}  {tr('(works once, within ten minutes)')}"))
    if len(info.roles) < len(ServerRole):
        lines.append((tr("Roles"), ", ".join(info.roles)))
    lines.append((tr("Ledger"), info.store))
    if info.ledger_failure:
        failure = tr_message(info.ledger_failure)
        lines.append(("", tr("is away, callbacks are kept in the log until it is back: {failure}", failure=failure)))
    lines.append((tr("Data"), str(info.data_dir)))
    if info.admin_key:
        lines.append((tr("Admin key"), f"{info.admin_key}  {tr('(shown only once, stored in admin-key)')}"))
    print_lines(lines)
    advice = tr("Paste a callback URL into the cloud console, as the event callback of the voice application.")
    sys.stdout.write(f"{advice}\n")


def _print_json(info: "StartupInfo") -> None:
    print_json(
        {
            "url": info.url,
            "callback_urls": {name: _shown(url) for name, url in info.callback_urls.items()},
            "data_dir": str(info.data_dir),
            "store": info.store,
            "ledger_failure": info.ledger_failure,
            "roles": info.roles,
            "admin_key": info.admin_key,
        }
    )


def _shown(url: str) -> str:
    """The URL, without its secret where output goes to a file or a journal."""
    from answerback.domain.masking import mask_token

    masked = mask_token(url)
    return url if url == masked or sys.stdout.isatty() else f"{masked}  (answerback channels list --full)"
